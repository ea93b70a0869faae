import { STATUS_CODES } from 'node:http';

/** The request itself is wrong (status 400): not JSON, a property of the wrong type, a number out of range. */
export class BadRequest extends Error {
  override name = 'BadRequest';
}

export const PROBLEM_TYPE = 'application/problem+json';

const SECTION: Readonly<Record<number, string>> = {
  400: '15.5.1',
  403: '15.5.4',
  404: '15.5.5',
  405: '15.5.6',
  409: '15.5.10',
  500: '15.6.1',
  501: '15.6.2',
  503: '15.6.4',
  504: '15.6.5',
};

/** Problem document of spec rest §4.3, as bytes (to text the framework would add a charset); `outcome` is for backups only. */
export function problem(status: number, detail: string, outcome?: string): Buffer {
  const section = SECTION[status];
  const document = {
    type: section === undefined ? 'about:blank' : `https://tools.ietf.org/html/rfc9110#section-${section}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    ...(outcome === undefined ? {} : { outcome }),
  };
  return Buffer.from(JSON.stringify(document));
}
