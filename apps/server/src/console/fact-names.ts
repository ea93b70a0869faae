/**
 * Names under which a node reports what the console shows. A name a node does not report is drawn as not known (console C1), so that
 * an older or a younger node beside this one never shows an invented zero.
 */
export const Counter = {
  retries: 'retries',
  netIn: 'bytesIn',
  netOut: 'bytesOut',
} as const;

export const Gauge = {
  readP99: 'readP99',
  writeP99: 'writeP99',
  commitP99: 'commitP99',
  /** Time from handing a batch to the log until it is durable: writing and fsync. */
  fsyncP99: 'logP99',
  eventLoopP99: 'eventLoopP99',
  cpu: 'cpu',
  rssBytes: 'rssBytes',
  heapBytes: 'heapBytes',
  diskUsedBytes: 'diskUsedBytes',
  diskTotalBytes: 'diskTotalBytes',
  walQueue: 'walQueue',
  clientQueue: 'waitingRequests',
} as const;
