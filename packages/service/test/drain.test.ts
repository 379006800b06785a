import { once } from 'node:events'
import { connect } from 'node:net'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startApp } from './support/app-process.ts'

const stores = await useStores(t)

/** An HTTP connection that is kept, for what only its moments show. */
async function keepOpen(url: string) {
  const { port, hostname } = new URL(url)
  const socket = connect(Number(port), hostname)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  const closed = once(socket, 'close')
  return {
    closed,
    /** Sends a request; answers the head of its answer, or all there was when the connection broke. */
    async ask(path: string): Promise<string> {
      text = ''
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
      await Promise.race([waitFor(() => text.includes('\r\n\r\n')), closed])
      return text.toLowerCase()
    }
  }
}

async function stopsListening(url: string): Promise<void> {
  await waitFor(() =>
    fetch(url).then(
      () => false,
      (error: Error & { cause?: { code?: string } }) => error.cause?.code === 'ECONNREFUSED'
    )
  )
}

t.test('a request on a connection that was idle when the app stopped listening is answered', async (t) => {
  const app = startApp(t, stores, { IDLE_KEPT_MS: '60000' })
  const { url } = await app.ready()
  const kept = await keepOpen(url)
  const other = await keepOpen(url)
  for (const one of [kept, other]) t.match(await one.ask('/v1/widgets'), /^http\/1.1 200 /)
  app.child.kill('SIGTERM')
  await stopsListening(`${url}/v1/widgets`)
  for (const one of [kept, other]) {
    const answer = await one.ask('/v1/widgets')
    t.match(answer, /^http\/1.1 200 /)
    t.match(answer, /\r\nconnection: close\r\n/, 'and it is the last one')
    await one.closed
  }
  t.equal(await app.exited, 0, 'then nothing is waited for any more')
})

t.test('connections that nobody closes are closed after IDLE_KEPT_MS', async (t) => {
  const app = startApp(t, stores, { IDLE_KEPT_MS: '300' })
  const { url } = await app.ready()
  const kept = await keepOpen(url)
  t.match(await kept.ask('/v1/widgets'), /^http\/1.1 200 /)
  app.child.kill('SIGTERM')
  await kept.closed
  t.equal(await app.exited, 0)
})
