// What a library finds when it is loaded: the global `redis`, and the clients that its functions are given. It is
// JavaScript that runs inside of the sandbox, before the library and in the same QuickJS.
//
// It is strict with a library that errs, and trusts none that means harm: whether a run, or a call of it, is allowed
// is checked once more outside, in sandbox.ts.

import { CLIENTS } from './inside/clients.ts';
import { LANGUAGE } from './inside/language.ts';
import { REGISTER } from './inside/register.ts';
import { RUNS } from './inside/runs.ts';
import { VALUES } from './inside/values.ts';

/** An expression: a function of (host, json) that gives the entries for sandbox.ts. */
export const PRELUDE = `(function (host, json) {
  'use strict';
  ${LANGUAGE}
  const about = parse(json);
  ${VALUES}
  ${REGISTER}
  ${CLIENTS}
  ${RUNS}
  const redis = freeze({
    registerFunction,
    registerAsyncFunction,
    registerClusterFunction,
    registerReducer,
    registerCommand,
    registerKeySpaceTrigger: notServed('registerKeySpaceTrigger'),
    registerStreamTrigger: notServed('registerStreamTrigger'),
    functionFlags,
    config: about.config,
    apiVersion: () => about.apiVersion,
    v8Version: () => 'QuickJS',
    log(text) { host.log('info', describe(String(text))); },
    log_debug(text) { host.log('debug', describe(String(text))); },
    log_warning(text) { host.log('warn', describe(String(text))); },
  });
  defineProperty(globalThis, 'redis', { __proto__: null, value: redis, enumerable: true });
  return { start, settle, drop, explain, loaded };
})`;
