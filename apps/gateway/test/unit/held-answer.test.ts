import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import t from 'tap'
import type { Dispatcher } from 'undici'
import { Visit } from '../../src/door/visit.ts'
import { Exchange, type ExchangeDeps } from '../../src/proxy/exchange.ts'
import { relay } from '../../src/proxy/relay.ts'
import { relayStreamed } from '../../src/proxy/streamed/streamed-relay.ts'

// The answer to a write that ends kept answers waits until they have ended. What comes of it meanwhile is held.

/** A write at a service that answers as the test says, to a client that takes nothing. */
function make(pass: (exchange: Exchange) => void, status = 200, came: IncomingHttpHeaders = {}) {
  const written: string[] = []
  const controller = {
    paused: false,
    aborted: false,
    pause() {
      controller.paused = true
    },
    resume() {
      controller.paused = false
    },
    abort() {
      controller.aborted = true
    }
  }
  const res = Object.assign(new EventEmitter(), {
    writableLength: 0,
    headersSent: false,
    write(part: Buffer) {
      written.push(String(part).slice(0, 8))
      res.writableLength += part.length
      return false
    },
    end: () => void written.push('end'),
    destroy: () => void written.push('destroyed'),
    flushHeaders: () => undefined
  })
  const req = Object.assign(new EventEmitter(), {
    method: 'PUT',
    url: '/f/a',
    headers: {},
    rawHeaders: [],
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    complete: true,
    socket: {},
    resume: () => undefined
  })
  let handler: Dispatcher.DispatchHandler | undefined
  let keptEnd = () => undefined as unknown
  const deps = {
    balancer: {
      call(_request: unknown, made: Dispatcher.DispatchHandler) {
        handler = made
        return controller
      },
      wheel: { start: () => undefined, stop: () => undefined }
    },
    cache: { end: () => new Promise<void>((resolve) => (keptEnd = resolve)) },
    heads: {
      ours: () => ({}),
      ofService: () => [],
      write: (_res: unknown, _visit: unknown, status: number) => void written.push(`head ${status}`),
      problem: (_visit: unknown, { code }: SkerryError) => ({ status: 400, list: [], body: code })
    },
    log: { isLevelEnabled: () => false },
    onFault: (_where: string, error: unknown) => t.fail(String(error)),
    onBound: () => undefined,
    overload: { gate: () => undefined },
    spool: {
      add: () => ({
        grew: () => controller.pause(),
        drained: () => undefined,
        gone: () => undefined,
        ended: () => undefined
      })
    },
    silenceMs: 1_000,
    streamSilenceMs: 1_000,
    bodyLimit: 1_000,
    streamed: { places: { take: () => () => undefined }, countsAddress: () => true, periodMs: 1_000 }
  }
  const exchange = new Exchange(
    deps as unknown as ExchangeDeps,
    req as unknown as IncomingMessage,
    res as unknown as ServerResponse,
    new Visit(req as unknown as IncomingMessage, performance.now())
  )
  exchange.visit.route = {
    service: 'files',
    timeoutMs: 1_000,
    // It waits for no place of its service.
    stream: true,
    streamed: {},
    endsOf: () => ['kept']
  } as never
  exchange.visit.address = '127.0.0.1'
  pass(exchange)
  const given = controller as unknown as Dispatcher.DispatchController
  handler!.onRequestStart?.(given, undefined)
  handler!.onResponseStart?.(given, status, came, '')
  return {
    ...{ exchange, controller, written },
    part: () => handler!.onResponseData?.(given, Buffer.alloc(65_536, 'answer. ')),
    end: () => handler!.onResponseEnd?.(given, {}),
    async release() {
      keptEnd()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

for (const [name, pass] of [
  ['whole', relay],
  ['streamed', relayStreamed]
] as const)
  t.test(`an answer that is held: ${name}`, async (t) => {
    const { controller, written, part, end, release } = make(pass)
    part()
    part()
    t.equal(controller.paused, true, 'no more of it is read')
    t.strictSame(written, [])
    await release()
    t.strictSame(written, ['head 200', 'answer. ', 'answer. '])
    t.equal(controller.paused, true, 'a client that does not take what was held stops it again')
    end()
    t.equal(written.at(-1), 'end')

    const small = make(pass)
    await small.release()
    t.equal(small.controller.paused, false, 'where nothing was held it goes on')

    const over = make(pass)
    over.part()
    over.end()
    await over.release()
    t.strictSame(over.written, ['head 200', 'answer. ', 'end'], 'one that is whole')
  })

t.test('an answer that is held is not given behind a refusal', async (t) => {
  const { exchange, controller, written, part, end, release } = make(relayStreamed)
  part()
  // As where its body turns out to be too large.
  exchange.refuse(new SkerryError('BODY_TOO_LARGE'))
  const refused = ['head 400', 'end']
  t.strictSame(written, refused)
  end()
  await release()
  t.strictSame(written, refused)
  t.equal(controller.aborted, true)
})

for (const [name, pass] of [
  ['whole', relay],
  ['streamed', relayStreamed]
] as const)
  t.test(`a service that says that the deadline has passed: ${name}`, async (t) => {
    const { controller, written, release } = make(pass, 503, { 'x-skerry-deadline': 'passed' })
    t.equal(controller.aborted, true, 'its own answer is not wanted')
    t.strictSame(written, [], 'and a write may have been done, so the old answers end first')
    await release()
    t.strictSame(written, ['head 400', 'end'], 'a problem in its place')
  })
