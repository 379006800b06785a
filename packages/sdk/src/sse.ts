export type ServerSentEvent = { id: string | undefined; type: string; data: string }

const MAX_CHARS = 1_000_000

/**
 * Parses a stream of server-sent events as the HTML standard says (section 9.2.6), whatever way its chunks are cut.
 * `push` takes decoded text and returns the events it completes; `retry` is the server's wish for reconnects in milliseconds,
 * `lastId` the id to go on from.
 * @throws RangeError when one event exceeds a million characters
 */
export function createSseParser() {
  let rest = ''
  let data: string[] = []
  let size = 0
  let type = ''
  let id: string | undefined
  let lastId: string | undefined
  let sawCr = false
  let retry: number | undefined

  function line(text: string, out: ServerSentEvent[]): void {
    if (text === '') {
      lastId = id // also of an event without data: it only moves the place to go on from
      if (data.length > 0) out.push({ id, type: type || 'message', data: data.join('\n') })
      data = []
      size = 0
      type = ''
      return
    }
    const colon = text.indexOf(':')
    if (colon === 0) return // a comment: the server's heartbeat
    const field = colon === -1 ? text : text.slice(0, colon)
    const value = colon === -1 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') {
      size += value.length
      if (size > MAX_CHARS) throw new RangeError('a live message is too large')
      data.push(value)
    } else if (field === 'event') type = value
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'retry' && /^\d+$/.test(value)) retry = Number(value)
  }

  return {
    push(chunk: string): ServerSentEvent[] {
      const out: ServerSentEvent[] = []
      let text = sawCr && chunk.startsWith('\n') ? chunk.slice(1) : chunk
      if (chunk !== '') sawCr = text.endsWith('\r')
      text = rest + text
      let from = 0
      for (const match of text.matchAll(/\r\n|\n|\r/g)) {
        line(text.slice(from, match.index), out)
        from = match.index + match[0].length
      }
      rest = text.slice(from)
      if (rest.length > MAX_CHARS) throw new RangeError('a live message is too large')
      return out
    },
    get retry() {
      return retry
    },
    get lastId() {
      return lastId
    }
  }
}
