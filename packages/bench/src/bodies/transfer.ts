import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { give } from '@skerry/testing'

export const MB = 1_048_576

export type Direction = 'up' | 'down'

/** Sends so many bytes to a proxy, or gets them from it, on one connection. Throws where fewer arrive. */
export async function transfer(
  base: string,
  direction: Direction,
  size: number,
  headers: Readonly<Record<string, string>>
): Promise<void> {
  const agent = new Agent()
  try {
    const arrived =
      direction === 'up' ? await upload(base, size, headers, agent) : await download(base, size, headers, agent)
    if (arrived !== size) throw new Error(`${arrived} of ${size} bytes have arrived`)
  } finally {
    agent.destroy()
  }
}

async function upload(
  base: string,
  size: number,
  headers: Readonly<Record<string, string>>,
  agent: Agent
): Promise<number> {
  const up = request(`${base}/v1/bodies/up`, { method: 'POST', agent, headers: { ...headers, 'content-length': size } })
  const answered = once(up, 'response')
  give(up, size)
  const [answer] = (await answered) as [IncomingMessage]
  return Number(await text(answer))
}

async function download(
  base: string,
  size: number,
  headers: Readonly<Record<string, string>>,
  agent: Agent
): Promise<number> {
  const [answer] = (await once(request(`${base}/v1/bodies/${size}`, { agent, headers }).end(), 'response')) as [
    IncomingMessage
  ]
  let arrived = 0
  answer.on('data', (part: Buffer) => {
    arrived += part.length
  })
  await once(answer, 'end')
  return arrived
}
