import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { ERRORS, type ErrorCode, problem, type SkerryError } from '@skerry/contracts'
import { PROBLEM_TYPE, problemAnswer } from '@skerry/service'
import type { CorsHeaders } from '../door/cors.ts'
import type { Visit } from '../door/visit.ts'
import type { HeadPart } from '../head-lines.ts'
import { type AnswerHead, headInList } from './answer-head.ts'
import { headPart, wholeHeadText } from './head-text.ts'
import { writePairs } from './http1-response.ts'
import { compose, limitHeaders, notReplaced, type OwnHeaders, passedBack, saysAny, takeOut } from './lists.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

/** What the gateway says itself in a head, by name in lower case. */
export type GatewayHeaders = Record<string, string>

/** An answer that is a problem, ready to be written. */
export type ProblemAnswer = { readonly status: number; readonly list: string[]; readonly body: string }

/** The head of a service's answer, ready to be written: `common` comes before `list`. */
export type ServiceHead = { readonly list: string[]; readonly common: HeadPart | undefined }

export type HeadsOptions = {
  corsHeaders: CorsHeaders
  /** The gateway is leaving: connections end with their answer. */
  draining?: () => boolean
  /** The policies' say in each head; undefined where none has any. */
  onHead?: ((head: AnswerHead, visit: Visit | undefined) => void) | undefined
}

/**
 * Where the head of every answer is made: composed of what the answer says and what the gateway says (`compose` in lists.ts), and then seen by the
 * policies. Nothing writes one but `write`. Where there is no response to write to, `switching` and `refusal` make it as text; Fastify writes those of
 * its replies as `ofReply` has made them. Lists are name, value, name, value; names in lower case. A 204 and a 101 say no length (RFC 9110, 8.6).
 */
export type Heads = {
  /** What the gateway says in each answer to a visit: its id, CORS, how its limits stand, and that the gateway is leaving. */
  ours(visit: Visit, timing?: string): GatewayHeaders
  /** The head of a service's answer. */
  ofService(came: IncomingHttpHeaders, ours: Readonly<GatewayHeaders>): ServiceHead
  /** The head of a kept answer; `list` is made longer. */
  ofKept(list: string[], ours: Readonly<GatewayHeaders>): string[]
  /** What many answers say, as text that is made once. */
  common(list: string[]): HeadPart
  /** The whole answer to a visit that failed. */
  problem(visit: Visit, error: SkerryError, closing?: boolean): ProblemAnswer
  /** Writes a head. Policies have seen it; `common` comes before `list`. */
  write(response: ServerResponse, visit: Visit, status: number, list: string[], common?: HeadPart): void
  /** Lets the policies see a head that nobody writes; `list` is changed. */
  see(visit: Visit | undefined, status: number, list: string[]): void
  /** The head of an answer of Fastify to a page of `origin`, seen by the policies. `own` has the id and the end of the connection already. */
  ofReply(visit: Visit | undefined, origin: string | undefined, status: number, own: OwnHeaders): string[]
  /** The same as text of what a service says that changes the protocol of a connection. */
  switching(visit: Visit, came: IncomingHttpHeaders): string
  /** The whole answer as text to what was no request, from a page of `origin`. */
  refusal(code: ErrorCode, origin: string | undefined, withBody: boolean): string
}

export function createHeads({ corsHeaders, draining = () => false, onHead }: HeadsOptions): Heads {
  const ours = (visit: Visit, timing?: string): GatewayHeaders => {
    const said: GatewayHeaders =
      timing === undefined ? { 'x-request-id': visit.id } : { 'x-request-id': visit.id, 'server-timing': timing }
    corsHeaders(visit.raw.headers.origin, said)
    if (visit.verdict !== undefined) limitHeaders(visit.verdict, said)
    if (draining() && visit.raw.httpVersionMajor < 2) said.connection = 'close'
    return said
  }
  const security = headPart(SECURITY_HEADERS.flat())
  const see = (visit: Visit | undefined, status: number, list: string[]) => {
    if (onHead === undefined) return
    // It may change headers of the request, which are not its own where no policy has seen it at the door.
    visit?.raw.ownHeaders?.()
    onHead(headInList(status, list), visit)
  }
  /** Of an answer that the gateway gives itself. */
  const ofOwn = (own: OwnHeaders, said: Readonly<GatewayHeaders>) =>
    compose(notReplaced(own, said), said, SECURITY_HEADERS)

  return {
    ours,
    see,
    // Few services say any of it themselves.
    ofService: (came, said) =>
      saysAny(came, SECURITY_HEADERS)
        ? { list: compose(passedBack(came), said, SECURITY_HEADERS), common: undefined }
        : { list: compose(passedBack(came), said, []), common: security },
    ofKept: (list, said) => compose(list, said, SECURITY_HEADERS),
    common: (list) => headPart(compose(list, {}, SECURITY_HEADERS)),
    problem(visit, error, closing = false) {
      const { body, headers } = problemAnswer(error, visit.id)
      const own = { ...headers, 'content-type': PROBLEM_TYPE, 'content-length': String(Buffer.byteLength(body)) }
      const said = ours(visit)
      if (closing) said.connection = 'close'
      const list = ofOwn(own, said)
      return { status: error.status, list, body }
    },
    write(response, visit, status, list, common) {
      if (status === 204) takeOut(list, 'content-length')
      if (onHead === undefined) {
        writePairs(response, status, list, common)
        return
      }
      const whole = common === undefined ? list : [...common.pairs, ...list]
      see(visit, status, whole)
      writePairs(response, status, whole)
    },
    ofReply(visit, origin, status, own) {
      const said: GatewayHeaders = {}
      corsHeaders(origin, said)
      if (visit?.verdict !== undefined) limitHeaders(visit.verdict, said)
      const list = ofOwn(own, said)
      // @fastify/cors gives one to a preflight.
      if (status === 204) takeOut(list, 'content-length')
      see(visit, status, list)
      return list
    },
    switching(visit, came) {
      const list = compose(passedBack(came), { 'x-request-id': visit.id }, [])
      takeOut(list, 'content-length')
      see(visit, 101, list)
      return wholeHeadText('HTTP/1.1 101 Switching Protocols', [
        ...['connection', 'Upgrade', 'upgrade', 'websocket'],
        ...list
      ])
    },
    refusal(code, origin, withBody) {
      const { status, title } = ERRORS[code]
      const said: GatewayHeaders = {}
      corsHeaders(origin, said)
      const list = ofOwn({ 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store' }, said)
      see(undefined, status, list)
      const body = withBody ? JSON.stringify(problem(code)) : ''
      if (withBody) list.push('content-length', String(Buffer.byteLength(body)))
      return wholeHeadText(`HTTP/1.1 ${status} ${title}`, [...list, 'connection', 'close']) + body
    }
  }
}
