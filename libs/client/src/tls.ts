/** PEM texts for `https://` endpoints over gRPC. REST trusts what the platform trusts. */
export interface TlsOptions {
  /** Certificate authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** Client certificate chain, where the server asks for one. */
  readonly cert?: string | undefined;
  /** Private key of the client certificate. */
  readonly key?: string | undefined;
  /** False accepts any certificate: for nodes on this machine with certificates of their own making. Default true. REST always checks. */
  readonly verify?: boolean | undefined;
}
