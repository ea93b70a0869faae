export { injectorBeside } from './beside-rest.ts';
export type { HintOptions } from './grpc-settings.ts';
export { createGrpcServer, registerGrpcServices } from './services.ts';
