import type { ConduitArticlesAnswer, ConduitListQuery } from '@skerry/contracts'
import { isFault, tag as tagKey } from '@skerry/text'
import { findArticles, findTags, type Selection } from '../data/articles.ts'
import { findPerson } from '../data/people.ts'
import { favorites, findTargets, follows } from '../data/relations.ts'
import type { Deps } from './deps.ts'
import { presentList, type Viewer } from './present.ts'

const DEFAULT_LIMIT = 20
const NOTHING: ConduitArticlesAnswer = { articles: [], articlesCount: 0 }

type Page = { limit?: number; offset?: number }

/** Articles, newest first: with a tag, of an author, favourites of somebody, or all; what is asked for must all hold. */
export async function listArticles(
  deps: Deps,
  viewer: Viewer,
  query: ConduitListQuery
): Promise<ConduitArticlesAnswer> {
  const { store, limits } = deps
  const { tag, author, favorited } = query
  const [byAuthor, byFan] = await Promise.all([
    author === undefined ? undefined : findPerson(store, author),
    favorited === undefined ? undefined : findPerson(store, favorited)
  ])
  // Nobody has written or liked anything under a name that nobody has.
  if ((author !== undefined && byAuthor === undefined) || (favorited !== undefined && byFan === undefined))
    return NOTHING
  const postIds =
    byFan === undefined ? undefined : await findTargets(store, favorites, byFan._id, limits.FAVORITES_LISTED)
  return list(
    deps,
    viewer,
    {
      ...(tag === undefined ? {} : { tags: tagForms(tag) }),
      ...(byAuthor === undefined ? {} : { authorIds: [byAuthor._id] }),
      ...(postIds === undefined ? {} : { postIds })
    },
    query
  )
}

/** Articles of those whom the viewer follows, newest first. */
export async function readFeed(deps: Deps, viewer: NonNullable<Viewer>, page: Page): Promise<ConduitArticlesAnswer> {
  const authorIds = await findTargets(deps.store, follows, viewer.userId, deps.limits.FEED_AUTHORS)
  return list(deps, viewer, { authorIds }, page)
}

async function list(deps: Deps, viewer: Viewer, selection: Selection, page: Page): Promise<ConduitArticlesAnswer> {
  const { store, limits } = deps
  if (selection.postIds?.length === 0 || selection.authorIds?.length === 0) return NOTHING
  const found = await findArticles(store, selection, {
    limit: clamp(page.limit ?? DEFAULT_LIMIT, limits.PAGE_MAX),
    offset: clamp(page.offset ?? 0, limits.OFFSET_MAX),
    countMax: limits.COUNT_MAX
  })
  return { articles: await presentList(deps, viewer, found.page), articlesCount: found.count }
}

export async function listTags({ store, limits }: Deps): Promise<{ tags: string[] }> {
  return { tags: await findTags(store, { from: limits.TAGS_FROM, limit: limits.TAGS_LISTED }) }
}

/** What articles with a tag carry: its key, and the tag as it was asked for where posts from before tags were keys carry that. */
function tagForms(asked: string): string[] {
  const key = tagKey(asked)
  return isFault(key) ? [asked] : [...new Set([key, asked])]
}

const clamp = (value: number, most: number): number => Math.min(most, Math.max(0, value))
