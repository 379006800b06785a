/** What an app does, as source text: it must see no global but its platform's. */
export const SCENARIO = `
import { createClient, SkerryNetworkError } from '@skerry/sdk'

report({ has: ['process', 'Buffer', 'crypto', 'structuredClone', 'TextDecoder', 'ReadableStream', 'DOMException', 'XMLHttpRequest']
  .filter((name) => typeof globalThis[name] !== 'undefined') })
const { signal } = new AbortController()
report({ signal: ['throwIfAborted', 'reason'].filter((name) => name in signal)
  .concat(['any', 'timeout', 'abort'].filter((name) => name in AbortSignal)) })

const client = createClient({ baseUrl: BASE, timeoutMs: 60000, cacheEntries: 5 })
await client.auth.login({ login: 'ada', password: 'x' })
const post = await client.posts.create({ text: 'é' })
report({ created: post.id, current: (await client.auth.current()).username })
report({ listed: (await client.feed.list({ limit: 1 }, { signal })).items.length })

const aborted = new AbortController()
aborted.abort()
report({ aborted: await client.posts.get('1', { signal: aborted.signal }).catch((error) => error.name) })
const later = new AbortController()
const hanging = client.posts.get('hang', { signal: later.signal }).catch((error) => error.name)
setTimeout(() => later.abort(), 50)
report({ later: await hanging })
report({ late: await client.posts.get('hang', { timeoutMs: 50 }).catch((error) => [error instanceof SkerryNetworkError, error.timeout]) })

function live(transport) {
  const seen = { states: [], ids: [] }
  return new Promise((resolve) => {
    const stream = client.live({
      transport,
      onState: (state) => seen.states.push(state),
      // The second message is sent only when the first has got here.
      onMessage: async ({ id, data }) => {
        seen.ids.push(id)
        if (seen.ids.length === 1) await client.posts.like(data.postId)
        else stream.close()
      },
      onError: (error) => { seen.error = error.name }
    })
    stream.closed.then(() => resolve(seen))
  })
}
for (const transport of ['auto', 'sse', 'websocket']) report({ [transport]: await live(transport) })

const stop = new AbortController()
const ids = []
for await (const message of client.live({ signal: stop.signal })) {
  ids.push(message.id)
  stop.abort()
}
report({ iterated: ids })
await client.auth.logout()
report({ out: await client.auth.current() })
`
