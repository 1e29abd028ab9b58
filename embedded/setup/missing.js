/** Something that the set-up cannot bring by itself: what it is, and the command with which a person brings it. */
export class Missing extends Error {
  /**
   * @param {string} what what is missing, and why the set-up could not bring it
   * @param {string} command the exact command that brings it
   */
  constructor(what, command) {
    super(`${what}\nThis brings it:\n  ${command}`);
    this.name = 'Missing';
  }
}
