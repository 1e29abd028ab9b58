import { ReplicaDocuments, type ReplicaDocumentsOptions } from './replica-documents.ts';
import { SetSide } from './set-side.ts';

export interface SetComparisonOptions extends Omit<ReplicaDocumentsOptions, 'side' | 'sessions'> {
  /** Told once per field of what today's service does to its values, and of documents that cannot be compared. */
  onWarning(text: string, passedOver: boolean): void;
}

/** One session projects while another one's documents are read here. */
const SESSIONS = 2;

/** The comparison of documents for the adapter `restore`, whose service has no versions: whole documents by their hashes. */
export class SetComparison extends ReplicaDocuments {
  /** @throws where no field of the connector's documents shows their id */
  constructor(options: SetComparisonOptions) {
    const { connector, schemas, fastaaps, onWarning } = options;
    super({ ...options, sessions: SESSIONS, side: new SetSide(connector, schemas.sync, fastaaps, onWarning) });
  }
}
