import type { DeleteOperation, ExtendOperation, GetOperation, Operation, SetOperation } from '@kahuna/partition';

/** An operation as the client wrote it: the durability is whatever number came. A gateway narrows it after its checks. */
type Requested<O> = O extends Operation ? Omit<O, 'durability'> & { readonly durability: number } : never;

export type RequestedSet = Requested<SetOperation>;
export type RequestedDelete = Requested<DeleteOperation>;
export type RequestedExtend = Requested<ExtendOperation>;
export type RequestedGet = Requested<GetOperation>;
export type RequestedOperation = RequestedSet | RequestedDelete | RequestedExtend | RequestedGet;
