/** What .dev/endpoints.json holds: how a person or a command beside the running stack reaches its parts. */
export interface Endpoints {
  /** postgres:// URLs of the databases' owners. */
  siirays: string;
  sync: string;
  fastaapsDatabase: string;
  /** host:port */
  pgbouncer: string;
  kafka: string;
  /** http://host:port */
  registry: string;
  fastaaps: string;
  /** user:password for `fastaaps` */
  fastaapsAuth: string;
  /** http://host:port of the reconciler's API */
  reconciler: string;
  /** user:password of the operator, and of one who may only look */
  reconcilerAuth: string;
  reconcilerViewerAuth: string;
}
