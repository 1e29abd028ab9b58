import { ReplicaDocuments, type ReplicaDocumentsOptions } from './replica-documents.ts';
import { VersionsSide } from './versions-side.ts';

export type DocumentComparisonOptions = Omit<ReplicaDocumentsOptions, 'side'>;

/** The comparison of documents for the adapter `changes`: by hashes, versions and etags. */
export class DocumentComparison extends ReplicaDocuments {
  constructor(options: DocumentComparisonOptions) {
    super({ ...options, side: new VersionsSide(options.connector, options.schemas.sync, options.fastaaps) });
  }
}
