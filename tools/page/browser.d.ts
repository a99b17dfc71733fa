/** What browsers have and TypeScript does not know yet. */

interface JSON {
  // https://github.com/tc39/proposal-json-parse-with-source; `context` is missing in older browsers.
  parse(
    text: string,
    reviver: (this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown,
  ): unknown;
}

interface TrustedScriptURL {
  toString(): string;
}

declare var trustedTypes:
  | {
      createPolicy(
        name: string,
        rules: { createScriptURL(input: string): string },
      ): { createScriptURL(input: string): TrustedScriptURL };
    }
  | undefined;

interface ServiceWorkerContainer {
  register(address: TrustedScriptURL): Promise<ServiceWorkerRegistration>;
}

declare function SwaggerUIBundle(options: {
  domNode: Element | null;
  url: string | undefined;
  deepLinking: boolean;
  validatorUrl: null;
}): void;
