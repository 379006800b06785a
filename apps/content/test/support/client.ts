import type { Comment, PageOf, Post, Problem } from '@skerry/contracts'
import type { FastifyInstance } from 'fastify'

export type Answer<T> = { status: number; body: T; headers: Record<string, unknown> }
type Send = { headers?: Record<string, string>; body?: unknown; instance?: number }

/** One person's requests. */
export type Client = {
  send<T = Problem>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    options?: Send
  ): Promise<Answer<T>>
  /** The same, again while it is refused for now, as every client does: a busy machine may take a request only later. */
  persist<T = Problem>(...args: Parameters<Client['send']>): Promise<Answer<T>>
  /** Publishes a post and expects it to work. */
  post(text: string, more?: object): Promise<Post>
  feed(query?: string): Promise<PageOf<Post>>
  list(query?: string): Promise<PageOf<Post>>
  read(id: string): Promise<Post>
  comment(postId: string, text: string): Promise<Comment>
}

/** Requests go to the instances in turn unless told otherwise. */
export function clientOf(instances: { app: FastifyInstance }[], token: string): Client {
  let turn = 0
  const send = async <T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, options: Send = {}) => {
    const { app } = instances[(options.instance ?? turn++) % instances.length]!
    const answer = await app.inject({
      method,
      url,
      headers: {
        authorization: `Bearer ${token}`,
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers
      },
      ...(options.body === undefined
        ? {}
        : { payload: typeof options.body === 'string' ? options.body : JSON.stringify(options.body) })
    })
    const body = answer.body === '' ? undefined : JSON.parse(answer.body)
    return { status: answer.statusCode, body: body as T, headers: answer.headers }
  }
  const persist = async <T>(...args: Parameters<Client['send']>): Promise<Answer<T>> => {
    for (;;) {
      const answer = await send<T>(...args)
      if (answer.status !== 503 || answer.headers['retry-after'] === undefined) return answer
    }
  }
  const expect = async <T>(status: number, answer: Promise<Answer<T>>): Promise<T> => {
    const { status: got, body } = await answer
    if (got !== status) throw new Error(`expected ${status}, got ${got}: ${JSON.stringify(body)}`)
    return body
  }
  return {
    send,
    persist,
    post: (text, more) => expect(201, send<Post>('POST', '/v1/posts', { body: { text, ...more } })),
    feed: (query = '') => expect(200, send<PageOf<Post>>('GET', `/v1/feed${query}`)),
    list: (query = '') => expect(200, send<PageOf<Post>>('GET', `/v1/posts${query}`)),
    read: (id) => expect(200, send<Post>('GET', `/v1/posts/${id}`)),
    comment: (postId, text) => expect(201, send<Comment>('POST', `/v1/posts/${postId}/comments`, { body: { text } }))
  }
}
