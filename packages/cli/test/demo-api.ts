import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

type User = { id: string; email: string; username: string; displayName: string; password: string; createdAt: string }
type Post = { id: string; author: string; title: string | null; text: string; tags: string[] }
type Comment = { id: string; postId: string; author: string; text: string }
type Answer = { status: number; body?: unknown; headers?: Record<string, string> }
type Request = {
  method: string
  path: string
  query: URLSearchParams
  key: string | undefined
  user: User | undefined
  body: never
}

/** What a test may change while the server runs. */
export type Api = {
  url: string
  users: User[]
  posts: Post[]
  comments: Comment[]
  follows: Set<string>
  writes: number
  signups: number
  logins: number
  /** Called with each write's number after it is done; `lose` drops its answer. */
  onWrite: (n: number) => 'lose' | undefined
  /** An answer instead of doing anything. */
  before: (request: { method: string; path: string; text: string }) => Answer | undefined
  /** Waits before a request is done; `user` is its caller's id, or empty. */
  hold: (request: { method: string; path: string; user: string }) => Promise<void>
  /** All data gone; tokens given before are still signed well. */
  wipe: () => void
  /** Forgets Idempotency-Keys, as a day does. */
  forgetKeys: () => void
  endSessions: () => void
}

/** A server of the routes the demo uses, with the API's behaviour for names taken, tokens, Idempotency-Key and pages. */
export async function serveApi(t: Test): Promise<Api> {
  let serial = 0
  const newId = () => `${++serial}`.padStart(26, '0')
  const tokens = new Map<string, User>()
  const keys = new Map<string, { hash: string; answer: Answer }>()
  const api: Api = {
    url: '',
    users: [],
    posts: [],
    comments: [],
    follows: new Set(),
    writes: 0,
    signups: 0,
    logins: 0,
    onWrite: () => undefined,
    before: () => undefined,
    hold: async () => undefined,
    wipe() {
      for (const list of [api.users, api.posts, api.comments]) list.length = 0
      api.follows.clear()
      keys.clear()
    },
    forgetKeys: () => keys.clear(),
    endSessions: () => tokens.clear()
  }

  const problem = (status: number, code: string): Answer => ({
    status,
    body: { type: code, title: code, status, code }
  })
  function grant(user: User): Answer['body'] {
    const accessToken = `t${++serial}`
    tokens.set(accessToken, user)
    return {
      user,
      session: { id: newId() },
      accessToken,
      tokenType: 'Bearer',
      expiresIn: 900,
      refreshToken: `r${serial}`
    }
  }
  const shown = (x: Post | Comment) => ({ ...x, author: { id: x.author } })
  function page(items: (Post | Comment)[], query: URLSearchParams): Answer {
    const from = Number(query.get('cursor') ?? 0)
    const to = from + Math.min(3, Number(query.get('limit') ?? 20)) // small pages, so that there are several
    return {
      status: 200,
      body: { items: [...items].reverse().slice(from, to).map(shown), nextCursor: to < items.length ? `${to}` : null }
    }
  }

  function signup(body: User): Answer {
    api.signups++
    if (api.users.some((u) => u.email === body.email)) return problem(409, 'AUTH_EMAIL_TAKEN')
    if (api.users.some((u) => u.username === body.username)) return problem(409, 'AUTH_USERNAME_TAKEN')
    const user = { ...body, id: newId(), createdAt: new Date().toISOString() }
    api.users.push(user)
    return { status: 201, body: grant(user) }
  }

  function handle({ method, path, query, user, body }: Request): Answer {
    const [, a, b] = /^\/v1\/([a-z]+)(?:\/([^/]+))?/.exec(path) ?? []
    if (path === '/v1/auth/signup') return signup(body)
    if (path === '/v1/auth/login') {
      api.logins++
      const { login, password } = body as { login: string; password: string }
      const found = api.users.find((u) => (u.email === login || u.username === login) && u.password === password)
      return found ? { status: 200, body: grant(found) } : problem(401, 'AUTH_BAD_CREDENTIALS')
    }
    if (path === '/v1/auth/refresh') return problem(401, 'AUTH_BAD_REFRESH_TOKEN')
    if (user === undefined) return problem(401, 'UNAUTHENTICATED')
    if (path === '/v1/users/me') return { status: 200, body: user }
    if (a === 'users' && method === 'PUT') {
      if (!api.users.some((u) => u.id === b)) return problem(404, 'USR_NOT_FOUND')
      api.follows.add(`${user.id} ${b}`)
      return { status: 204 }
    }
    if (path === '/v1/posts' && method === 'POST') {
      const post = { title: null, tags: [], ...(body as object), id: newId(), author: user.id } as unknown as Post
      api.posts.push(post)
      return { status: 201, body: shown(post) }
    }
    if (path === '/v1/posts')
      return page(
        api.posts.filter((p) => p.author === query.get('author')),
        query
      )
    const post = api.posts.find((p) => p.id === b)
    if (post === undefined) return problem(404, 'CNT_POST_NOT_FOUND')
    if (!path.endsWith('/comments')) return { status: 200, body: shown(post) }
    if (method === 'GET')
      return page(
        api.comments.filter((c) => c.postId === b),
        query
      )
    const comment = { ...(body as object), id: newId(), postId: post.id, author: user.id } as unknown as Comment
    api.comments.push(comment)
    return { status: 201, body: shown(comment) }
  }

  function once(request: Request): Answer {
    if (request.key === undefined) return handle(request)
    const id = `${request.user?.id} ${request.path} ${request.key}`
    const hash = createHash('sha256').update(JSON.stringify(request.body)).digest('hex')
    const known = keys.get(id)
    if (known !== undefined) return known.hash === hash ? known.answer : problem(422, 'IDEMPOTENCY_MISMATCH')
    const answer = handle(request)
    keys.set(id, { hash, answer })
    return answer
  }

  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://x')
    const method = incoming.method ?? ''
    const text = Buffer.concat(chunks).toString()
    const key = incoming.headers['idempotency-key']
    const caller = tokens.get(incoming.headers.authorization?.slice(7) ?? '')
    await api.hold({ method, path: pathname, user: caller?.id ?? '' })
    const early = api.before({ method, path: pathname, text })
    const answer =
      early ??
      once({
        method,
        path: pathname,
        query: searchParams,
        key: typeof key === 'string' ? key : undefined,
        user: caller,
        body: (text === '' ? undefined : JSON.parse(text)) as never
      })
    if (early === undefined && method !== 'GET') {
      api.writes++
      if (api.onWrite(api.writes) === 'lose') return void incoming.socket.destroy()
    }
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers })
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  api.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return api
}
