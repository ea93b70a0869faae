import { Call, type Carrier, type Traits } from './call.ts';
import type { Endpoint } from './endpoints.ts';
import type { CallOptions } from './options.ts';
import type { Routes } from './routes.ts';
import type { Connection, Method, RequestOf, ResponseOf } from './transport.ts';

/** Answer of {@link MethodCallParts.conclude} for MUST_RETRY. */
export const REFUSED = Symbol('refused');

export interface MethodCallParts<M extends Method, A> {
  readonly traits: Traits;
  readonly method: M;
  readonly request: RequestOf<M>;
  readonly route: (routes: Routes) => Endpoint | undefined;
  /** `inDoubt`: an earlier attempt may have taken effect. Throws what the answer means where it is no success. */
  readonly conclude: (response: ResponseOf<M>, inDoubt: boolean) => A | typeof REFUSED;
}

/** Any request but those on one key. */
export class MethodCall<M extends Method, A> extends Call<ResponseOf<M>> {
  private readonly parts: MethodCallParts<M, A>;
  private readonly resolvePromise: (answer: A) => void;

  constructor(parts: MethodCallParts<M, A>, resolve: (answer: A) => void, reject: (reason: unknown) => void) {
    super(parts.traits, reject);
    this.parts = parts;
    this.resolvePromise = resolve;
  }

  override transmit(connection: Connection, timeoutMs: number): void {
    connection.call(this.parts.method, this.parts.request, timeoutMs, this);
  }

  override route(routes: Routes): Endpoint | undefined {
    return this.parts.route(routes);
  }

  override learn(response: ResponseOf<M>, routes: Routes, answeredBy: Endpoint): void {
    if ('Route' in response && response.Route !== undefined) routes.hint(response.Route, answeredBy);
    else if ('Routes' in response) for (const hint of response.Routes) routes.hint(hint, answeredBy);
  }

  protected override conclude(response: ResponseOf<M>): void {
    let answer: A | typeof REFUSED;
    try {
      answer = this.parts.conclude(response, this.inDoubt);
    } catch (error) {
      this.reject(error);
      return;
    }
    if (answer === REFUSED) {
      this.refused();
      return;
    }
    this.finish();
    this.resolvePromise(answer);
  }
}

/** Sends a request and waits for what it concludes to. */
export function request<M extends Method, A>(
  carrier: Carrier,
  parts: MethodCallParts<M, A>,
  options: CallOptions | undefined,
): Promise<A> {
  return new Promise((resolve, reject) => carrier.begin(new MethodCall(parts, resolve, reject), options));
}
