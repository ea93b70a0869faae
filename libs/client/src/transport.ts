/** How requests reach the servers. Made by `grpcTransport()` or `restTransport()`; opaque to programs. */
export interface Transport {
  readonly name: string;
}
