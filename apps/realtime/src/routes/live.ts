import websocket, { type WebSocket } from '@fastify/websocket'
import { realtimeRoutes, SkerryError } from '@skerry/contracts'
import { bearerOf, type HandlerInput, inputOf, route } from '@skerry/service'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { placeOf } from '../streams/message-id.ts'
import type { Opening, Streams } from '../streams/streams.ts'
import { SseSink } from './sse-sink.ts'
import { WsSink } from './ws-sink.ts'

type LiveInput = HandlerInput<typeof realtimeRoutes.live>

const OPENING = Symbol('opening')
type WithOpening = FastifyRequest & { [OPENING]?: Opening }

/** Clients only listen: what they send is dropped, and may not be large. */
const CLIENT_FRAME = 1_024

/** The live streams, as server-sent events and over WebSocket. */
export async function liveRoutes(app: FastifyInstance, streams: Streams): Promise<void> {
  route(app, realtimeRoutes.live, async (input) => {
    const { request, reply } = input
    const opening = await open(streams, input)
    if (opening.closed) return
    reply.hijack()
    recorded(request, 200)
    opening.start(new SseSink(reply.raw, request.id))
  })
  // In a scope of its own: the plugin's hooks would keep every SSE request in memory for as long as it streams.
  await app.register(async (scope) => webSocketRoute(scope, streams))
}

async function webSocketRoute(app: FastifyInstance, streams: Streams): Promise<void> {
  await app.register(websocket, {
    options: { maxPayload: CLIENT_FRAME, perMessageDeflate: false, clientTracking: false },
    preClose(done) {
      this.websocketServer.close()
      done()
    },
    errorHandler: (error, socket, request) => {
      request.log.debug({ err: error }, 'WebSocket closed with an error')
      socket.terminate()
    }
  })
  // The plugin's onResponse hook makes Fastify log each answer here, with the whole request in it: its token too.
  app.addHook('onRequest', (_request, reply, done) => {
    reply.log = Object.create(reply.log, { info: { value: ignore }, error: { value: ignore } })
    done()
  })
  route(app, realtimeRoutes.liveWs, refuse, {
    fastify: {
      wsHandler: (socket: WebSocket, request: FastifyRequest) => {
        const opening = (request as WithOpening)[OPENING]
        if (opening === undefined || opening.closed) socket.terminate()
        else opening.start(new WsSink(socket, request.raw.socket))
      },
      async preHandler(request: FastifyRequest) {
        if (!request.ws) refuse()
        ;(request as WithOpening)[OPENING] = await open(streams, inputOf<typeof realtimeRoutes.liveWs>(request))
        recorded(request, 101)
      }
    }
  })
}

function ignore(): void {}

function refuse(): never {
  const headers = { upgrade: 'websocket' }
  throw new SkerryError('BAD_REQUEST', { detail: 'This route requires a WebSocket handshake.', headers })
}

/** Admits a stream. It is let go of when its connection closes, however far it has come. */
async function open(streams: Streams, input: LiveInput): Promise<Opening> {
  const { request, caller, query } = input
  const header = request.headers['last-event-id']
  // A browser's reconnect repeats the URL; its header is the newer one.
  const id = (header === undefined || header === '' ? query.lastEventId : String(header)) || undefined
  const from = id === undefined ? undefined : placeOf(id)
  const token = bearerOf(request.headers.authorization ?? '') ?? ''
  const { socket } = request.raw
  const opening = await streams.open(caller, token, from)
  if (socket.destroyed) opening.close()
  else socket.once('close', () => opening.close())
  return opening
}

/** A hijacked answer passes the hook by that measures the others. */
function recorded(request: FastifyRequest, status: number): void {
  request.recorder?.(status, (performance.now() - request.startedAt) / 1000)
}
