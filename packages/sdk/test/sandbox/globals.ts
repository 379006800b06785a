import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Context, createContext, runInContext } from 'node:vm'
import { nodeFetch, nodeXhr, reactNativeSocket, safariSocket } from './adapters.ts'

export type Platform = 'react-native' | 'safari-15'

/**
 * Members of ECMAScript that V8 has and Hermes (as React Native up to 0.86 ships it) or Safari 15.0 lacks; README, "Platforms", says where
 * that is written.
 */
const TOO_NEW = `
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'FinalizationRegistry', 'Iterator', 'Temporal']) delete globalThis[name]
  for (const [holder, names] of [
    [Array, ['fromAsync']], [Object, ['groupBy', 'hasOwn']], [Map, ['groupBy']], [Promise, ['withResolvers', 'try']],
    [Array.prototype, ['at', 'findLast', 'findLastIndex', 'toSorted', 'toReversed', 'toSpliced', 'with']],
    [String.prototype, ['at', 'isWellFormed', 'toWellFormed']],
    [Set.prototype, ['union', 'intersection', 'difference', 'isSubsetOf', 'isSupersetOf', 'isDisjointFrom', 'symmetricDifference']]
  ]) for (const name of names) delete holder[name]
`
const require = createRequire(import.meta.url)

/** A realm with the globals of a platform and no others. */
export function platformContext(platform: Platform, extra: object): Context {
  const context = createContext({
    console,
    setTimeout,
    clearTimeout,
    setInterval,
    clearInterval,
    queueMicrotask,
    ...extra
  })
  const run = (code: string) => runInContext(code, context)
  run(TOO_NEW)
  run(readFileSync(require.resolve('abort-controller/dist/abort-controller.umd.js'), 'utf8'))
  run('({ AbortController, AbortSignal } = globalThis.AbortControllerShim); delete globalThis.AbortControllerShim')
  if (platform === 'react-native') {
    Object.assign(context, {
      navigator: { product: 'ReactNative' },
      // Since 0.74; TypeBox, which the contracts are written in, needs it.
      TextEncoder,
      XMLHttpRequest: nodeXhr,
      WebSocket: reactNativeSocket
    })
    run(readFileSync(require.resolve('whatwg-fetch/dist/fetch.umd.js'), 'utf8'))
    run('delete globalThis.WHATWGFetch')
  } else {
    const { Headers, Response, ReadableStream, TextDecoder, TextEncoder, URL, URLSearchParams, DOMException } =
      globalThis
    Object.assign(context, { Headers, Response, ReadableStream, TextDecoder, TextEncoder, URL, URLSearchParams })
    Object.assign(context, { DOMException, navigator: { product: 'Gecko' }, fetch: nodeFetch, WebSocket: safariSocket })
  }
  return context
}
