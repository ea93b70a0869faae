export type { GrpcSettings, HintOptions } from './grpc-settings.ts';
export { createGrpcServer, type GrpcServices, registerGrpcServices } from './services.ts';
