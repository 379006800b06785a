import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'

export type Writer = { url: string; headers: Record<string, string>; body: string }

/** Writes so many posts over so many connections, each with a key of its own as the SDK does; resolves with the last one's id. */
export async function writePosts(next: () => Writer, count: number, connections: number, pauseMs = 0): Promise<string> {
  const dispatcher = new Agent({ connections, pipelining: 1 })
  let begun = 0
  let last = ''
  async function lane(): Promise<void> {
    while (begun < count) {
      begun++
      const { url, headers, body } = next()
      const { statusCode, body: answer } = await request(url, {
        ...{ method: 'POST', dispatcher, body },
        headers: { ...headers, 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() }
      })
      const text = await answer.text()
      if (statusCode !== 201) throw new Error(`POST ${url} answered ${statusCode}: ${text}`)
      if (pauseMs > 0) await delay(pauseMs)
      last = (JSON.parse(text) as { id: string }).id
    }
  }
  try {
    await Promise.all(Array.from({ length: connections }, lane))
  } finally {
    await dispatcher.close()
  }
  return last
}
