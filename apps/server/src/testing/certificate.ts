import { fileURLToPath } from 'node:url';

/**
 * A self-signed certificate for localhost and 127.0.0.1 with its key, as people make one for a local cluster, valid from 2020 to
 * 2120 (`openssl req -new -newkey ec`, then `openssl ca -selfsign -startdate … -enddate …`). It protects nothing: the key is public.
 */
export const TEST_CERTIFICATE_FILE = fileURLToPath(new URL('localhost.pem', import.meta.url));
