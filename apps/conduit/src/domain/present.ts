import type { ConduitArticleAnswer, ConduitComment, ConduitListedArticle, ConduitProfile } from '@skerry/contracts'
import type { Article } from '../data/articles.ts'
import type { Comment } from '../data/comments.ts'
import { findPeople, type PersonDocument } from '../data/people.ts'
import { findPictures } from '../data/pictures.ts'
import { favorites, findHeld, follows } from '../data/relations.ts'
import type { Deps } from './deps.ts'
import { isPicture } from './picture.ts'

/** Who looks, if they are signed in. */
export type Viewer = { userId: string } | undefined

/** A user whom no event has told of yet. */
const UNKNOWN = 'unknown'

export function profileOf(
  person: PersonDocument | undefined,
  picture: string | undefined,
  following: boolean
): ConduitProfile {
  return {
    username: person?.username ?? UNKNOWN,
    bio: person?.bio === undefined || person.bio === '' ? null : person.bio,
    // One that was set before pictures were looked at is not shown.
    image: (picture !== undefined && isPicture(picture) ? picture : undefined) ?? person?.avatarUrl ?? null,
    following
  }
}

/** The profiles of people as `viewer` sees them. */
export async function authorsFor(
  { store }: Deps,
  viewer: Viewer,
  userIds: readonly string[]
): Promise<(id: string) => ConduitProfile> {
  const ids = [...new Set(userIds)]
  const [people, pictures, followed] = await Promise.all([
    findPeople(store, ids),
    findPictures(store, ids),
    viewer === undefined ? new Set<string>() : findHeld(store, follows, viewer.userId, ids)
  ])
  return (id) => profileOf(people.get(id), pictures.get(id), followed.has(id))
}

/** Articles as a list shows them: without their bodies. */
export async function presentList(
  deps: Deps,
  viewer: Viewer,
  page: readonly Article[]
): Promise<ConduitListedArticle[]> {
  const [authorOf, liked] = await Promise.all([
    authorsFor(
      deps,
      viewer,
      page.map((article) => article.authorId)
    ),
    viewer === undefined
      ? new Set<string>()
      : findHeld(
          deps.store,
          favorites,
          viewer.userId,
          page.map((article) => article._id)
        )
  ])
  return page.map((article) => ({
    slug: article.slug,
    title: article.title,
    description: article.description,
    // In the order that RealWorld's collection of requests looks for.
    tagList: [...article.tags].sort(),
    createdAt: article.createdAt.toISOString(),
    updatedAt: article.updatedAt.toISOString(),
    favorited: liked.has(article._id),
    favoritesCount: article.favorites,
    author: authorOf(article.authorId)
  }))
}

export async function presentArticle(deps: Deps, viewer: Viewer, article: Article): Promise<ConduitArticleAnswer> {
  const [listed] = await presentList(deps, viewer, [article])
  return { article: { ...listed!, body: article.body } }
}

export async function presentComments(
  deps: Deps,
  viewer: Viewer,
  comments: readonly Pick<Comment, 'number' | 'authorId' | 'body' | 'createdAt'>[]
): Promise<ConduitComment[]> {
  const authorOf = await authorsFor(
    deps,
    viewer,
    comments.map((comment) => comment.authorId)
  )
  return comments.map(({ number, authorId, body, createdAt }) => ({
    id: number,
    createdAt: createdAt.toISOString(),
    updatedAt: createdAt.toISOString(),
    body,
    author: authorOf(authorId)
  }))
}
