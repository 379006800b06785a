import { articles } from './articles.ts'
import { comments } from './comments.ts'
import { commentIds, counters } from './numbers.ts'
import { people } from './people.ts'
import { pictures } from './pictures.ts'
import { favorites, follows } from './relations.ts'
import { sessions } from './sessions.ts'
import { slugs } from './slugs.ts'

/** What is made of events alone: a rebuild begins with these empty. */
export const modelCollections = [articles, comments, people, favorites, follows]

/** What nobody else knows. */
export const ownCollections = [sessions, slugs, commentIds, counters, pictures]

export const conduitCollections = [...modelCollections, ...ownCollections]
