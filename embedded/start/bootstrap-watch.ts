const POLL_MS = 200;

/**
 * Calls back once the bootstrap that started this process has ended, by SIGKILL too: then this process has another
 * parent. Without a bootstrap (BOOTSTRAP_PID) nobody is watched.
 */
export function whenBootstrapEnds(callback: () => void): void {
  const bootstrap = Number(process.env.BOOTSTRAP_PID);
  if (!bootstrap) return;
  const timer = setInterval(() => {
    if (process.ppid === bootstrap) return;
    clearInterval(timer);
    callback();
  }, POLL_MS);
  timer.unref();
}
