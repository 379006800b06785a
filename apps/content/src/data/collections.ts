import { authors } from './authors.ts'
import { bigAuthors } from './big-authors.ts'
import { comments } from './comments.ts'
import { feeds } from './feeds.ts'
import { followers, follows } from './follows.ts'
import { likes } from './likes.ts'
import { posts } from './posts.ts'
import { tagged } from './tagged.ts'
import { trends } from './trends.ts'

/** All that content stores, beside what events and idempotency need. */
export const contentCollections = [
  posts,
  tagged,
  comments,
  likes,
  authors,
  follows,
  followers,
  bigAuthors,
  feeds,
  trends
]
