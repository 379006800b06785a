/** A profile as RealWorld front ends get it. */
export type Author = { username: string; bio: string | null; image: string | null; following: boolean }
export type User = { email: string; token: string; username: string; bio: string | null; image: string | null }
export type Article = {
  slug: string
  title: string
  description: string
  body?: string
  tagList: string[]
  createdAt: string
  updatedAt: string
  favorited: boolean
  favoritesCount: number
  author: Author
}
export type Comment = { id: number; createdAt: string; updatedAt: string; body: string; author: Author }

/** All that answers may hold; a test looks at what it asked for. */
export type Body = {
  user: User
  profile: Author
  article: Article
  articles: Article[]
  articlesCount: number
  comment: Comment
  comments: Comment[]
  tags: string[]
  errors: Record<string, string[]>
}
export type Answer = { status: number; headers: Headers; text: string; body: Body }
export type FrontEnd = (method: string, path: string, body?: unknown) => Promise<Answer>

/** Requests as a RealWorld front end makes them, with its token when it has one. */
export function frontEnd(base: string, token?: string): FrontEnd {
  return async (method, path, body) => {
    const response = await fetch(base + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Token ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
        origin: 'https://realworld.example'
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000)
    })
    const text = await response.text()
    const { status, headers } = response
    const json = /json/.test(headers.get('content-type') ?? '')
    return { status, headers, text, body: (json && text !== '' ? JSON.parse(text) : {}) as Body }
  }
}

/** Lists by their slugs. */
export const slugs = (articles: readonly Article[]): string[] => articles.map((article) => article.slug)

export const PASSWORD = 'correct horse'

/** Registers somebody; their front end has the token. */
export async function register(base: string, username: string): Promise<{ user: User; ask: FrontEnd }> {
  const user = { username, email: `${username}@example.com`, password: PASSWORD }
  const { status, body, text } = await frontEnd(base)('POST', '/users', { user })
  if (status !== 201) throw new Error(`registering ${username} answered ${status}: ${text}`)
  return { user: body.user, ask: frontEnd(base, body.user.token) }
}

/** One of the public API's own routes, as a phone calls it. */
export async function phone<T>(gateway: string, method: string, path: string, token?: string, body?: unknown) {
  const response = await fetch(gateway + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(60_000)
  })
  const text = await response.text()
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T }
}
