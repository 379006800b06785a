import type { Socket } from 'node:net'
import { ERRORS, problem } from '@skerry/contracts'
import { PROBLEM_TYPE, refuseConnection } from '@skerry/service'

type ParseError = Error & { code?: string; rawPacket?: Buffer }

const LINGER_MS = 1_000

/**
 * Answers what Node's HTTP parser refused: 431, 408 and 400 as every service does, and 414 where the request line alone was too long,
 * which the parser does not tell apart. The connection then stays for a moment, so that the client gets to read the answer.
 */
export function refuse(error: ParseError, socket: Socket): void {
  if (isLongUrl(error) && socket.writable) {
    const { status, title } = ERRORS.URI_TOO_LONG
    const body = JSON.stringify(problem('URI_TOO_LONG'))
    const head = `content-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`
    socket.end(`HTTP/1.1 ${status} ${title}\r\n${head}\r\n\r\n${body}`)
  } else refuseConnection(error, socket)
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

function isLongUrl({ code, rawPacket }: ParseError): boolean {
  return (
    code === 'HPE_HEADER_OVERFLOW' &&
    rawPacket !== undefined &&
    /^[A-Z]+ /.test(rawPacket.toString('latin1', 0, 16)) &&
    !rawPacket.includes('\r\n')
  )
}
