import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { type RouteContract, SkerryError } from '@skerry/contracts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { tellToGoOn } from './expectation.ts'

/** Connections whose present request has a body that passes as it comes: the time of whole requests does not hold for them. */
const passing = new WeakSet<Socket>()
/** So long nothing at all may come or go on such a connection, ms. */
const IDLE_MS = 120_000

/** Whether the request on a connection may take as long as it takes. */
export function isPassing(socket: Socket): boolean {
  return passing.has(socket)
}

/** What `config` of a streamed route says. */
export const STREAMED = { skerryStreamed: true }

export function isStreamedRoute({ routeOptions }: FastifyRequest): boolean {
  return (routeOptions.config as { skerryStreamed?: boolean }).skerryStreamed === true
}

/** Lets a request take as long as something comes or goes on its connection. */
export function letPass({ raw }: FastifyRequest, reply: FastifyReply): void {
  const { socket } = raw
  // Injected requests have none.
  if (typeof socket?.setTimeout !== 'function') return
  const idle = () => socket.destroy()
  passing.add(socket)
  socket.setTimeout(IDLE_MS)
  socket.on('timeout', idle)
  reply.raw.once('close', () => {
    passing.delete(socket)
    socket.off('timeout', idle)
    // Node has given it that of idle connections by now, if it is kept.
    if (socket.timeout === IDLE_MS) socket.setTimeout(0)
  })
}

/**
 * The body of a request to a streamed route, bounded by its contract's limit, else by `fallback`. Throws BODY_TOO_LARGE where its head says
 * that it is; one in chunks fails with it at the part that is too much. One that breaks off fails, and never ends. It can be destroyed, as by
 * `pipeline`, without the connection, which the answer needs: what is left of the request is then read and dropped.
 */
export function boundedBody(
  contract: RouteContract,
  { raw }: FastifyRequest,
  reply: FastifyReply,
  fallback: number
): Readable {
  const limit = contract.bodyLimit ?? fallback
  if (Number(raw.headers['content-length'] ?? 0) > limit) throw new SkerryError('BODY_TOO_LARGE')
  let size = 0
  let asked = false
  const body = new Readable({
    read() {
      if (!asked) tellToGoOn(raw, reply.raw)
      asked = true
      raw.resume()
    },
    destroy(error, done) {
      raw.off('data', take).resume()
      done(error)
    }
  })
  const take = (part: Buffer) => {
    size += part.length
    if (size > limit) body.destroy(new SkerryError('BODY_TOO_LARGE'))
    else if (!body.push(part)) raw.pause()
  }
  raw.on('data', take).pause()
  raw.once('end', () => body.push(null))
  raw.once('error', (error) => body.destroy(error))
  raw.once('close', () => {
    if (!raw.complete) body.destroy(new Error('the client broke off in the middle of its body'))
  })
  return body
}

/** Sends bytes as the answer: their type, and their status unless the handler has said another, are the contract's. */
export function sendBytes(contract: RouteContract, reply: FastifyReply, status: number, bytes: Readable): void {
  if (reply.statusCode === 200) reply.code(status)
  if (!reply.hasHeader('content-type')) reply.type(contract.responseType ?? 'application/octet-stream')
  reply.send(bytes)
}

export function isBytes(result: unknown): result is Readable {
  return result instanceof Readable
}
