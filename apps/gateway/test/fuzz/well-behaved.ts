import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http'
import { request as requestTls, Agent as TlsAgent } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { tagOf, tagsIn } from './bytes.ts'
import type { HostileService } from './upstream.ts'

/** What well-behaved clients were answered while others attack. */
export type Tally = {
  /** Of the service that behaves: all must be answered. */
  calm: number
  /** Of the hostile service, which may break the connection that they come on. */
  shared: number
  failed: number
  faults: string[]
}

/** A service that answers each request with its own path. */
export async function startCalm(): Promise<{ url: string; server: Server }> {
  const server = createServer((asked, response) => response.end(asked.url))
  // Longer than the gateway keeps an idle connection.
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

type Answer = { status: number; body: string }

/** Clients of Node's own that ask one thing after another, with a pause in between, until `stopped`. */
export function behaveWell(
  ports: { plain: number; tls: number },
  service: HostileService,
  seed: number,
  round: number,
  pauseMs = 5
): { tally: Tally; stop(): Promise<void> } {
  const tally: Tally = { calm: 0, shared: 0, failed: 0, faults: [] }
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const tlsAgent = new TlsAgent({ keepAlive: true, maxSockets: 2, rejectUnauthorized: false })
  let stopped = false
  let asked = 0
  const ask = (secure: boolean, path: string) =>
    new Promise<Answer>((resolve, reject) => {
      const take = (answer: IncomingMessage) => {
        let body = ''
        answer.on('data', (part) => {
          body += part
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }))
        answer.on('error', reject)
      }
      const to = { host: '127.0.0.1', path, headers: { host: 'fuzz' } }
      const one = secure
        ? requestTls({ ...to, port: ports.tls, agent: tlsAgent }, take)
        : request({ ...to, port: ports.plain, agent }, take)
      one.on('error', reject)
      one.end()
    })
  const calm = async (secure: boolean) => {
    while (!stopped) {
      const path = `/calm/${++asked}`
      try {
        const { status, body } = await ask(secure, path)
        if (status !== 200 || body !== path)
          tally.faults.push(`a well-behaved client was answered ${status}: ${body.slice(0, 200)}`)
      } catch (error) {
        if (!stopped) tally.faults.push(`a well-behaved client was not answered: ${(error as Error).message}`)
      }
      tally.calm++
      await delay(pauseMs)
    }
  }
  const shared = async () => {
    while (!stopped) {
      const tag = tagOf(seed, round, 36 ** 5 - 1 - ++asked, 9)
      service.expected.set(tag, { answer: undefined, saw: () => undefined })
      try {
        const { status, body } = await ask(false, `/s/${tag}`)
        if (status < 500 && body !== tag) {
          const late = service.late.get(tagsIn(body)[0] ?? '')
          if (late?.mayRace === true) service.raced++
          else
            tally.faults.push(`a well-behaved client was given another's answer: ${late?.what ?? body.slice(0, 100)}`)
        } else if (status >= 500) tally.failed++
      } catch {
        // Its answer broke off, because what came before it on the connection to the service was broken.
        tally.failed++
      }
      service.expected.delete(tag)
      tally.shared++
      await delay(pauseMs)
    }
  }
  const all = [calm(false), calm(true), shared(), shared()]
  return {
    tally,
    async stop() {
      stopped = true
      await Promise.all(all)
      agent.destroy()
      tlsAgent.destroy()
    }
  }
}
