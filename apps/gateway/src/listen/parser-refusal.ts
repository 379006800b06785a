import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { parserRefusal } from '@skerry/service'
import type { Bound, BoundMet } from '../bounds.ts'
import { currentResponse } from '../door/in-turn.ts'
import type { Heads } from '../head/heads.ts'
import type { GatewayRequest } from './http1-request.ts'

type ParseError = Error & { code?: string; rawPacket?: Buffer }

const LINGER_MS = 1_000

/** Connections that are refused already: the parser fails again for whatever else comes, which is read and dropped. */
const refused = new WeakSet<Socket>()

/**
 * Answers what Node's HTTP parser refused: 431, 408 and 400 as every service does, and 414 where the request line alone was too long,
 * which the parser does not tell apart. Requests that came whole before it, on the same connection, are answered first: a refusal in
 * their place would tell a client that what a service is doing was not done. The connection then stays for a moment, so that the
 * client gets to read the answer.
 */
export function createParserRefusal(
  heads: Pick<Heads, 'refusal'>,
  onBound: BoundMet = () => {}
): (error: ParseError, socket: Socket) => void {
  return (error, socket) => {
    if (refused.has(socket)) return
    // Its body passes through, at a pace of its own. Node tells of it once.
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && passes(socket)) return
    refused.add(socket)
    const bound = boundMetBy(error, socket)
    if (bound !== undefined) onBound(bound, socket.remoteAddress)
    whenAnswered(socket, (answered) => {
      if (answered) socket.end()
      else if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
      else {
        const code = isLongUrl(error) ? 'URI_TOO_LONG' : parserRefusal(error)
        // It waited for its turn when what is wrong with its body came; an answer to HEAD has no body.
        const withBody = currentResponse(socket)?.req.method !== 'HEAD'
        // There is no request to ask: an origin that nobody can tell is a web app's as well, where all of them may.
        socket.end(heads.refusal(code, originIn(error.rawPacket) ?? 'null', withBody), 'latin1')
      }
      setTimeout(() => socket.destroy(), LINGER_MS).unref()
    })
  }
}

function boundMetBy(error: ParseError, socket: Socket): Bound | undefined {
  if (error.code === 'HPE_HEADER_OVERFLOW') return isLongUrl(error) ? 'URL_LIMIT' : 'HEADER_LIMIT'
  if (error.code !== 'ERR_HTTP_REQUEST_TIMEOUT') return undefined
  return isInBody(socket) ? 'REQUEST_TIMEOUT_MS' : 'HEADERS_TIMEOUT_MS'
}

function passes(socket: Socket): boolean {
  return (currentResponse(socket)?.req as GatewayRequest | undefined)?.passes === true
}

/** The `Origin` among the bytes that could not be parsed. */
function originIn(packet: Buffer | undefined): string | undefined {
  return packet === undefined ? undefined : /\r\norigin:[ \t]*([^\s]{1,512})\r\n/i.exec(packet.toString('latin1'))?.[1]
}

/**
 * Waits for the answers of whole requests. `answered` says that the broken one has an answer, too: it was refused by its head, before
 * the parser got to what is wrong with its body.
 */
function whenAnswered(socket: Socket, then: (answered: boolean) => void): void {
  const response = currentResponse(socket)
  if (response === undefined) then(isInBody(socket))
  else if (response.req.complete) response.once('close', () => whenAnswered(socket, then))
  else if (response.headersSent) response.once('close', () => then(true))
  else then(false)
}

/** The head of a request was taken, and its body is still to come. */
function isInBody(socket: Socket): boolean {
  const { parser } = socket as Socket & { parser?: { incoming: IncomingMessage | null } | null }
  return parser?.incoming?.complete === false
}

function isLongUrl({ code, rawPacket }: ParseError): boolean {
  return (
    code === 'HPE_HEADER_OVERFLOW' &&
    rawPacket !== undefined &&
    /^[A-Z]+ /.test(rawPacket.toString('latin1', 0, 16)) &&
    !rawPacket.includes('\r\n')
  )
}
