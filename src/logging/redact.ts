/** `scheme://user:password@host` in any text: the password and all that is not the user's name goes. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:/?#"'@]*):[^\s/?#"']*@/gi;

/** Passwords given as a parameter of a URL: postgres://host/db?password=x */
const PARAMETER_PASSWORD = /([?&](?:password|sslpassword)=)[^\s&"'\\]*/gi;

/** Replaces the passwords in all URLs of a text. */
export function redactUrls(text: string): string {
  return text.replace(URL_PASSWORD, '$1:[redacted]@').replace(PARAMETER_PASSWORD, '$1[redacted]');
}
