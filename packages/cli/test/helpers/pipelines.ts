import { connect } from 'node:net'

/** A request, and what it is to get. */
export type Kind = { path: string; lines: readonly string[]; status: number }

/** How many requests a connection sends before it reads. */
const AT_ONCE = 10

/**
 * Sends requests of some kinds over many connections, ten at once on each, and reads their answers. Resolves when each has been answered or
 * its connection has ended.
 */
export async function startPipelines(
  base: string,
  options: { kinds: readonly Kind[]; requests: number; connections: number; random: () => number }
): Promise<{ answered: number; wrong: string[] }> {
  const { kinds, requests, connections, random } = options
  const { port, hostname: host } = new URL(base)
  const wrong: string[] = []
  let answered = 0
  let unsent = requests

  const connection = () =>
    new Promise<void>((resolve) => {
      const socket = connect({ port: Number(port), host, noDelay: true })
      const waiting: Kind[] = []
      let text = ''
      const send = () => {
        const now = Array.from({ length: Math.min(AT_ONCE, unsent) }, () => kinds[Math.floor(random() * kinds.length)]!)
        unsent -= now.length
        waiting.push(...now)
        if (now.length === 0) socket.end()
        else
          socket.write(
            now
              .map(({ path, lines }) => [`GET ${path} HTTP/1.1`, `host: ${host}`, ...lines, '', ''].join('\r\n'))
              .join('')
          )
      }
      socket.once('connect', send)
      socket.setEncoding('latin1')
      socket.on('data', (chunk: string) => {
        text += chunk
        for (let head = text.indexOf('\r\n\r\n'); head >= 0; head = text.indexOf('\r\n\r\n')) {
          const length = Number(/^content-length: (\d+)\r?$/im.exec(text.slice(0, head))?.[1] ?? Number.NaN)
          if (text.length < head + 4 + length) return
          const status = Number(text.slice(9, 12))
          const { path = 'nothing', status: expected } = waiting.shift() ?? {}
          if (Number.isNaN(length) || status !== expected)
            wrong.push(`${path}: ${text.slice(0, head + 4 + (length || 0))}`)
          answered++
          text = Number.isNaN(length) ? '' : text.slice(head + 4 + length)
        }
        if (waiting.length === 0) send()
      })
      socket.once('error', (error) => wrong.push(String(error)))
      socket.once('close', () => resolve())
    })
  await Promise.all(Array.from({ length: connections }, connection))
  return { answered, wrong }
}
