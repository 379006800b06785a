import { once } from 'node:events'
import { get } from 'node:http'
import { quantile } from './load.ts'
import type { Person } from './people.ts'

/** From the answer 201 to the event at a follower's SSE stream, milliseconds. */
export async function liveLatency(
  baseUrl: string,
  author: Person,
  follower: Person,
  samples: number
): Promise<{ p50: number; p99: number }> {
  const request = get(`${baseUrl}/v1/live`, { headers: { authorization: `Bearer ${follower.token}` } })
  const [response] = await once(request, 'response')
  const arrived = new Map<string, number>()
  const waiting = new Map<string, () => void>()
  let text = ''
  response.on('data', (chunk: Buffer) => {
    const now = performance.now()
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
      text = text.slice(end + 2)
      const postId: string | undefined = data === undefined ? undefined : JSON.parse(data).postId
      if (postId === undefined) continue
      arrived.set(postId, now)
      waiting.get(postId)?.()
    }
  })
  const took: number[] = []
  for (let i = 0; i < samples; i++) {
    const answer = await fetch(`${baseUrl}/v1/posts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${author.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ text: `Live ${i}` })
    })
    const answered = performance.now()
    if (answer.status !== 201) throw new Error(`POST /v1/posts answered ${answer.status}`)
    const { id } = (await answer.json()) as { id: string }
    if (!arrived.has(id)) {
      const wait = Promise.withResolvers<void>()
      waiting.set(id, wait.resolve)
      const late = setTimeout(() => wait.reject(new Error(`post ${id} did not arrive within 10 s`)), 10_000)
      await wait.promise
      clearTimeout(late)
    }
    took.push((arrived.get(id) ?? answered) - answered)
  }
  request.destroy()
  return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) }
}
