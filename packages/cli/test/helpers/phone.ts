import type { Grant, LiveMessage, Problem } from '@skerry/contracts'

/** What came back: status, headers, and the body as JSON where it is. */
export type Answer<T = Record<string, unknown>> = { status: number; headers: Headers; body: T }

export type Phone = {
  grant: Grant
  call<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>
  ): Promise<Answer<T>>
}

/** One request over plain HTTP, as any client without our SDK would make it. */
export async function request<T = Record<string, unknown>>(
  base: string,
  method: string,
  path: string,
  options: { body?: unknown; raw?: string; headers?: Record<string, string>; token?: string } = {}
): Promise<Answer<T>> {
  const { body, raw, token } = options
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined && raw === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers
    },
    ...(body === undefined && raw === undefined ? {} : { body: raw ?? JSON.stringify(body) }),
    signal: AbortSignal.timeout(15_000)
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? (undefined as T) : JSON.parse(text) }
}

/** Signs somebody up and gives their phone. */
export async function signUp(base: string, username: string): Promise<Phone> {
  const body = {
    email: `${username}@example.com`,
    username,
    password: 'correct horse battery',
    displayName: username.toUpperCase()
  }
  const { status, body: grant } = await request<Grant & Problem>(base, 'POST', '/v1/auth/signup', { body })
  if (status !== 201) throw new Error(`sign-up answered ${status}: ${JSON.stringify(grant)}`)
  return phoneOf(base, grant)
}

/** A phone that holds a grant. */
export function phoneOf(base: string, grant: Grant): Phone {
  return {
    grant,
    call: (method, path, body, headers) =>
      request(base, method, path, {
        token: grant.accessToken,
        ...(body === undefined ? {} : { body }),
        ...(headers === undefined ? {} : { headers })
      })
  }
}

export type Stream = { messages: LiveMessage[]; close(): void; ended: Promise<void>; status: number }

/** Opens the live stream over SSE and collects its messages. Resolves when the first bytes are there. */
export async function openStream(base: string, token: string, lastEventId?: string): Promise<Stream> {
  const controller = new AbortController()
  const response = await fetch(`${base}/v1/live`, {
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'text/event-stream',
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId })
    },
    signal: controller.signal
  })
  const messages: LiveMessage[] = []
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = (await reader.read()).value ?? ''
  const ended = (async () => {
    for (;;) {
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const block = text.slice(0, end)
        text = text.slice(end + 2)
        const field = (name: string) =>
          block
            .split('\n')
            .find((line) => line.startsWith(`${name}: `))
            ?.slice(name.length + 2)
        const data = field('data')
        if (data !== undefined)
          messages.push({ id: field('id') ?? null, type: field('event') ?? '', data: JSON.parse(data) })
      }
      const next = await reader.read().catch((error: unknown) => {
        if (controller.signal.aborted) return { done: true, value: undefined }
        throw error
      })
      if (next.done) return
      text += next.value
    }
  })()
  return { messages, ended, status: response.status, close: () => controller.abort() }
}
