import type { LoadRequest } from '../gateway/load-generator.ts'
import { PASSWORD, type Person } from '../people.ts'

/** People of the system under measurement, and of the bare program. */
export const PEOPLE = 30
export const POSTS_EACH = 10
/** Requests that a load goes through again and again. */
const REQUESTS = 300

export type RouteId = 'feed' | 'me' | 'post' | 'login'

/** A route beside what the bare program does for it, and the ratio of CPU that is to be reached. */
export type RouteSpec = { id: RouteId; what: string; bare: string; limit: number }

export const ROUTES: readonly RouteSpec[] = [
  { id: 'feed', what: 'GET /v1/feed, 20 posts', bare: 'two finds', limit: 1 },
  { id: 'me', what: 'GET /v1/users/me', bare: 'one find', limit: 1 },
  { id: 'post', what: 'GET /v1/posts/{id}', bare: 'one find', limit: 1 },
  { id: 'login', what: 'POST /v1/auth/login', bare: 'the hash', limit: 1.15 }
]

const JSON_TYPE = { 'content-type': 'application/json' }

function some(make: (n: number) => LoadRequest): LoadRequest[] {
  return Array.from({ length: REQUESTS }, (_, n) => make(n))
}

/** The requests of a route to Skerry: each of the people in turn, as a phone sends them. */
export function oursOf(id: RouteId, people: readonly Person[]): LoadRequest[] {
  const person = (n: number) => people[n % people.length]!
  const get = (path: string, n: number): LoadRequest => ({
    ...{ method: 'GET', path, headers: { authorization: `Bearer ${person(n).token}` } }
  })
  switch (id) {
    case 'feed':
      return some((n) => get('/v1/feed', n))
    case 'me':
      return some((n) => get('/v1/users/me', n))
    case 'post':
      // Somebody else's, each once.
      return some((n) => get(`/v1/posts/${person(n + 1).posts[Math.floor(n / people.length) % POSTS_EACH]}`, n))
    case 'login':
      return some((n) => ({
        ...{ method: 'POST', path: '/v1/auth/login', headers: JSON_TYPE },
        body: JSON.stringify({ login: person(n).username, password: PASSWORD })
      }))
  }
}

/** The same of the bare program, with ids of the same length. */
export function bareOf(id: RouteId): LoadRequest[] {
  const idOf = (n: number) => String(n).padStart(26, '0')
  const get = (path: string): LoadRequest => ({ method: 'GET', path, headers: {} })
  switch (id) {
    case 'feed':
      return some((n) => get(`/feed/${idOf(n % PEOPLE)}`))
    case 'me':
      return some((n) => get(`/users/${idOf(n % PEOPLE)}`))
    case 'post':
      return some((n) => get(`/posts/${idOf(1_000 + (n % (PEOPLE * POSTS_EACH)))}`))
    case 'login':
      return some(() => ({
        ...{ method: 'POST', path: '/login', headers: JSON_TYPE },
        body: JSON.stringify({ password: PASSWORD })
      }))
  }
}
