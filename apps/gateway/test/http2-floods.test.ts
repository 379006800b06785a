import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import type { Bound } from '../src/bounds.ts'
import type { Reason } from '../src/listen/http2.ts'
import { ask, openSession } from './helpers/clients.ts'
import {
  ACK,
  block,
  END_HEADERS,
  END_STREAM,
  frame,
  GET,
  integer,
  openRaw,
  type RawClient,
  TYPE,
  uint32
} from './helpers/http2-frames.ts'
import { startListener } from './helpers/listener.ts'

const get = (stream: number) => frame(TYPE.headers, END_HEADERS | END_STREAM, stream, block(GET))
const post = (stream: number) => frame(TYPE.headers, END_HEADERS, stream, block([[':method', 'POST'], ...GET.slice(1)]))
const reset = (stream: number) => frame(TYPE.reset, 0, stream, uint32(8))
const setting = (id: number, value: number) => Buffer.concat([Buffer.from([0, id]), uint32(value)])

type Flood = {
  what: string
  /** Under which the gateway counts its end; `protocol` where nghttp2 ends it by itself for what is no bound of ours. */
  reason?: Reason
  send(client: RawClient): void
}

/** One field into the table, and then a thousand times by its index: 4 KB that stand for 4 MB. */
function bomb(stream: number): Buffer {
  const value = 'b'.repeat(3_900)
  const entry = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from('x'), integer(value.length, 7), Buffer.from(value)])
  return frame(
    TYPE.headers,
    END_HEADERS | END_STREAM,
    stream,
    Buffer.concat([block(GET), entry, Buffer.alloc(1_000, 0x80 | 62)])
  )
}

const times = (count: number, make: (i: number) => Buffer) => (client: RawClient) => {
  for (let i = 0; i < count && !client.socket.destroyed; i++) client.send(make(i))
}

/** Each ends its connection at once: by a bound of the gateway's, which is counted, or by nghttp2. */
const FLOODS: readonly Flood[] = [
  {
    what: 'rapid reset (CVE-2023-44487)',
    reason: 'resets',
    send: times(3_000, (i) => Buffer.concat([get(2 * i + 1), reset(2 * i + 1)]))
  },
  {
    what: 'requests with a window update of nothing (CVE-2025-8671)',
    send: times(1_000, (i) => Buffer.concat([get(2 * i + 1), frame(TYPE.windowUpdate, 0, 2 * i + 1, uint32(0))]))
  },
  { what: 'pings (CVE-2019-9512)', reason: 'control', send: times(5_000, () => frame(TYPE.ping, 0, 0, '12345678')) },
  { what: 'pings that answer none', send: times(5_000, () => frame(TYPE.ping, ACK, 0, '12345678')) },
  { what: 'settings (CVE-2019-9515)', reason: 'control', send: times(5_000, () => frame(TYPE.settings, 0, 0)) },
  {
    what: 'settings of many entries',
    send: times(1_000, () =>
      frame(TYPE.settings, 0, 0, Buffer.concat(Array.from({ length: 100 }, (_, i) => setting(4, i))))
    )
  },
  {
    what: 'settings that turn the window up and down',
    reason: 'control',
    send: times(2_000, (i) => frame(TYPE.settings, 0, 0, setting(4, i % 2 === 0 ? 0 : 0x7fffffff)))
  },
  {
    what: 'settings that turn the header table up and down',
    reason: 'control',
    send: times(2_000, (i) => frame(TYPE.settings, 0, 0, setting(1, i % 2 === 0 ? 0 : 65_536)))
  },
  { what: 'acknowledged settings that nobody sent', send: times(5_000, () => frame(TYPE.settings, ACK, 0)) },
  {
    what: 'continuations (CVE-2024-27983)',
    send: (client) => {
      client.send(frame(TYPE.headers, END_STREAM, 1, block(GET)))
      times(5_000, () => frame(TYPE.continuation, 0, 1, block([['x-a', 'b']])))(client)
    }
  },
  {
    what: 'empty continuations (CVE-2019-9518)',
    send: (client) => {
      client.send(frame(TYPE.headers, END_STREAM, 1, block(GET)))
      times(20_000, () => frame(TYPE.continuation, 0, 1))(client)
    }
  },
  {
    what: 'empty data (CVE-2019-9518)',
    send: (client) => {
      client.send(post(1))
      times(20_000, () => frame(TYPE.data, 0, 1))(client)
    }
  },
  {
    what: 'priorities (CVE-2019-9513)',
    send: times(50_000, (i) =>
      frame(TYPE.priority, 0, 2 * (i % 1_000) + 1, Buffer.concat([uint32(2 * ((i + 1) % 1_000) + 1), Buffer.from([1])]))
    )
  },
  { what: 'a window that overflows', send: times(10, () => frame(TYPE.windowUpdate, 0, 0, uint32(0x7fffffff))) },
  { what: 'frames of no known type', send: times(50_000, () => frame(0xfa, 0, 0, '12345678')) },
  { what: 'requests beyond the bound', send: times(2_000, (i) => post(2 * i + 1)) },
  {
    what: 'requests whose bodies are cut off',
    reason: 'resets',
    send: times(1_000, (i) => Buffer.concat([post(2 * i + 1), frame(TYPE.data, 0, 2 * i + 1, 'x'), reset(2 * i + 1)]))
  },
  { what: 'resets of what has ended', send: times(5_000, () => Buffer.concat([reset(1)])) },
  { what: 'farewells', send: times(5_000, () => frame(TYPE.goaway, 0, 0, Buffer.concat([uint32(0), uint32(0)]))) }
]

/** These cost no more than their bytes: the connection is ended when no request has come on it for a while. */
const SLOW_END: readonly Flood[] = [
  {
    what: 'data that is padding alone',
    send: (client) => {
      client.send(post(1))
      times(5_000, () => frame(TYPE.data, 8, 1, Buffer.concat([Buffer.from([255]), Buffer.alloc(255)])))(client)
    }
  },
  {
    what: 'headers without names (CVE-2019-9516)',
    send: times(1_000, (i) =>
      frame(
        TYPE.headers,
        END_HEADERS | END_STREAM,
        2 * i + 1,
        block([...GET, ...Array.from({ length: 100 }, () => ['', ''] as const)])
      )
    )
  },
  { what: 'HPACK bombs', send: times(300, (i) => bomb(2 * i + 1)) },
  { what: 'window updates', send: times(50_000, () => frame(TYPE.windowUpdate, 0, 0, uint32(1))) }
]

const BOUNDS_OF: Partial<Record<Reason, Bound>> = { resets: 'H2_RESET_BURST', control: 'H2_CONTROL_BURST' }
/** Requests of a flood that may come to the handler before it is ended. */
const MOST_HANDLED = 260
const env = { KEEP_ALIVE_TIMEOUT_MS: '1000', HEADERS_TIMEOUT_MS: '1000', REQUEST_TIMEOUT_MS: '1000' }

async function flood(t: Test, { send }: Flood): Promise<{ handled: number; ended: Reason[]; met: Bound[] }> {
  let handled = 0
  const met: Bound[] = []
  const { port, ended, listener } = await startListener(t, {
    handler: (_request, response) => {
      handled++
      response.end('{}')
    },
    onBound: (bound) => met.push(bound),
    env
  })
  const other = openSession(t, `http://127.0.0.1:${port}`)
  t.equal((await ask(other)).status, 200)
  const client = await openRaw(t, port)
  send(client)
  t.equal((await ask(other)).status, 200, 'another client is served')
  await client.closed
  const found = { handled: handled - 2, ended: [...ended], met: [...met] }
  await waitFor(() => listener.http2Connections() <= 1, { message: 'nothing of the flood is left' })
  // Its own connection may have been idle for as long meanwhile.
  t.equal((await ask(openSession(t, `http://127.0.0.1:${port}`))).status, 200, 'and so is a new one')
  return found
}

for (const one of FLOODS)
  t.test(`${one.what}: ends its connection`, async (t) => {
    const { handled, ended, met } = await flood(t, one)
    t.notOk(ended.includes('idle'), 'at once, not for its silence')
    // A farewell is heeded: there is nothing to count.
    t.same(ended, one.what === 'farewells' ? [] : [one.reason ?? 'protocol'], 'counted')
    t.same(met, one.reason === undefined ? [] : [BOUNDS_OF[one.reason]], 'and so is the bound')
    t.ok(handled <= MOST_HANDLED, 'few of its requests reach the handler', { handled })
  })

for (const one of SLOW_END)
  t.test(`${one.what}: ends its connection when it asks for nothing`, async (t) => {
    const { ended } = await flood(t, one)
    t.ok(ended.includes('idle'), 'counted')
  })
