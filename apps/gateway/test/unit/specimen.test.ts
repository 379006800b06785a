import type { IncomingMessage, ServerResponse } from 'node:http'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { Visit } from '../../src/door/visit.ts'
import { AnswerWriter, type AnswerWriterDeps } from '../../src/proxy/answer-writer.ts'
import { Exchange, type ExchangeDeps } from '../../src/proxy/exchange.ts'
import { collected } from '../helpers/collected.ts'

/** So many that each that is kept now is one of them. */
const MANY = 8 * 256

/** Exchanges that are over, and nothing here that holds them. */
function over(how: { writableFinished: boolean; body: Buffer | null }): WeakRef<object>[] {
  return Array.from({ length: MANY }, () => {
    const req = { method: 'POST', headers: {}, socket: {} } as unknown as IncomingMessage
    const res = { writableFinished: how.writableFinished } as ServerResponse
    const exchange = new Exchange({} as ExchangeDeps, req, res, new Visit(req, 0))
    exchange.body = how.body
    exchange.closed()
    return new WeakRef(exchange)
  })
}

t.test('of exchanges that are over a few are kept, and none that may hold a body', async (t) => {
  const given = over({ writableFinished: true, body: null })
  const left = () => given.filter((ref) => ref.deref() !== undefined).length
  await collected([new WeakRef({})])
  await waitFor(() => left() <= 8, { message: 'they are all held' })
  t.equal(left(), 8)
  // What came of the body of a client that has gone is still at its request.
  await collected(over({ writableFinished: false, body: null }))
  await collected(over({ writableFinished: true, body: Buffer.alloc(1) }))
  t.equal(left(), 8, 'nor do they take the place of others')
})

t.test('an answer that was encoded as a whole is not held by what wrote it', async (t) => {
  const bodies: WeakRef<object>[] = []
  const deps = {
    compressor: { encode: () => undefined },
    compressMinBytes: 1,
    compressWholeBytes: 10_000,
    heads: { ofService: () => ({ list: [], common: undefined }), write: () => undefined }
  } as unknown as AnswerWriterDeps
  const visit = { method: 'GET', raw: { headers: { 'accept-encoding': 'gzip' } } } as never
  const res = { end: (body: Buffer) => bodies.push(new WeakRef(body)) } as unknown as ServerResponse
  const writer = new AnswerWriter(deps, visit, res)
  writer.head(200, { 'content-type': 'application/json', 'content-length': '5000' }, {}, false)
  writer.data(Buffer.alloc(5_000), {} as never)
  writer.end()
  t.equal(bodies.length, 1)
  await collected(bodies)
  t.ok(writer)
})
