import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { continueTrace, noneMatch } from '@skerry/service'
import { startBlockCounter } from '@skerry/testing'
import t from 'tap'
import { varyByCoding } from '../src/bytes/coding-headers.ts'
import { retag, untagHeader } from '../src/bytes/etags.ts'
import { negotiate, ON_THE_WAY } from '../src/bytes/negotiate.ts'
import { clientAddress, parseNetworks } from '../src/door/address.ts'
import { guardMessage } from '../src/door/message-guard.ts'
import { guardPath } from '../src/door/path-guard.ts'
import { publicRequestId } from '../src/door/request-id.ts'
import { passedBack } from '../src/head/lists.ts'
import { takeOffNamed } from '../src/hop-by-hop.ts'
import { priorityOf } from '../src/overload/priority.ts'
import { requestHeaders } from '../src/proxy/request-headers.ts'
import { leftOf, wantsEvents } from '../src/proxy/upstream-request.ts'
import { takeProtocolToken } from '../src/websocket/protocol-token.ts'

// The longest header that the gateway takes, and half of it: twice the length is twice the work at most. Native code is not counted, so
// whatever is done with a header for each of its members has to be seen here as a block for each member.

/** What a hash table grows by is a little more. */
const MOST = 2.6
const LONGEST = 14_336

const repeated = (text: string, length: number) => text.repeat(Math.floor(length / text.length))
const TOLD = { address: '1.2.3.4', protocol: 'https', requestId: 'x', traceparent: 'x', traceContinued: true }
const trusted = parseNetworks('0.0.0.0/0', 'X')

/** What reads something of a request, made for a length that all of it together has. */
const readers: Record<string, (length: number) => () => unknown> = {
  'tags of one coding, and members of another header': (length) => {
    const [tags, accepted] = [repeated('"~br",', length / 2), repeated('a;,', length / 2)]
    return () => {
      untagHeader(tags, accepted)
      retag('"x"', tags, accepted)
      noneMatch(tags, '"x"')
      negotiate(accepted, ON_THE_WAY)
    }
  },
  'parameters of a coding': (length) => {
    const accepted = `gzip${repeated(';a', length)}`
    return () => negotiate(accepted, ON_THE_WAY)
  },
  'names in Connection, and headers': (length) => {
    const headers: Record<string, string> = { connection: repeated('zz,', length / 2) }
    for (let i = 0; i < length / 2 / 8; i++) headers[`h${i}`] = '1'
    return () => {
      takeOffNamed({ ...headers })
      requestHeaders(headers, TOLD, null)
      passedBack(headers)
    }
  },
  'names of headers that are there': (length) => {
    const headers: Record<string, string> = {}
    for (let i = 0; i < length / 12; i++) headers[`h${i}`] = '1'
    headers.connection = Object.keys(headers).join()
    return () => takeOffNamed({ ...headers })
  },
  'one header again and again': (length) => {
    const raw = new IncomingMessage(new Socket())
    const others = Array.from({ length: length / 6 }, (_, i) => (i % 2 === 0 ? 'Hosx' : '1'))
    const rawHeaders = [...others.slice(0, others.length & ~1), 'Host', '1']
    Object.assign(raw, { rawHeaders, headers: {}, method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 })
    return () => guardMessage(raw)
  },
  'a path': (length) => {
    const [plain, encoded] = [repeated('/a', length / 2), repeated('/%c3%a4', length / 2)]
    return () => {
      guardPath(plain, LONGEST)
      guardPath(encoded, LONGEST)
    }
  },
  'hops, from far and near': (length) => {
    const socket = { remoteAddress: '1.1.1.1' }
    const hops = [repeated('1.1.1.1,', length), ','.repeat(length), '1'.repeat(length)]
    const requests = hops.map((hop) => ({ socket, headers: { 'x-forwarded-for': hop } }))
    return () => requests.map((request) => clientAddress(request as never, trusted))
  },
  subprotocols: (length) => {
    const offer = `skerry.bearer.x,${repeated('a,', length)}`
    return () => takeProtocolToken({ headers: { 'sec-websocket-protocol': offer } } as never)
  },
  'everything else of which something is read': (length) => {
    const texts = ['a', ',', ' ', 'bot', '-', 'no-store ', 'text/event-stream', '1'].map((one) => repeated(one, length))
    return () => {
      for (const text of texts) {
        continueTrace(`00-${text}`)
        publicRequestId(text)
        leftOf(text, 1, 1)
        wantsEvents(text)
        varyByCoding(text)
        priorityOf({}, 'GET', { 'user-agent': text, 'sec-purpose': text })
      }
    }
  }
}

t.test('what is read of a request costs work that grows with its length alone', async (t) => {
  const blocks = await startBlockCounter()
  t.teardown(() => blocks.stop())
  for (const [name, make] of Object.entries(readers)) {
    const [half, whole] = [make(LONGEST / 2), make(LONGEST)]
    // Both once before: what is made at the first use is no work of the second.
    half()
    whole()
    const few = await blocks.count(async () => half())
    const many = await blocks.count(async () => whole())
    t.ok(many <= MOST * few + 200, `${name}`, { few, many })
    t.ok(many < 40_000, `${name}: a few blocks for each character at most`, { few, many })
  }
})
