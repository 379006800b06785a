// @fastify/http-proxy as it comes: the peer that the gateway's cost is told beside.
import httpProxy from '@fastify/http-proxy'
import Fastify from 'fastify'

const app = Fastify()
app.register(httpProxy, { upstream: process.argv[2] ?? '' })
await app.listen({ port: 0, host: '127.0.0.1' })
process.send?.({ url: app.listeningOrigin })
process.on('disconnect', () => process.exit(0))
