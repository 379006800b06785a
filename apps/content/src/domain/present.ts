import type { Author, Comment, Post } from '@skerry/contracts'
import type { CommentDocument } from '../data/comments.ts'
import type { PostDocument } from '../data/posts.ts'
import type { Deps } from './deps.ts'
import type { Person } from './person.ts'

/** About what a post or comment has in a page beside its text, bytes. */
const BESIDE_TEXT = 1_024

/** About how long a post or comment is as JSON, bytes. */
export function bytesOf({ text }: { readonly text: string }): number {
  return BESIDE_TEXT + Buffer.byteLength(JSON.stringify(text))
}

export function presentPost(post: PostDocument, author: Author, liked: boolean): Post {
  return {
    id: post._id,
    author,
    title: post.title,
    summary: post.summary,
    text: post.text,
    tags: post.tags,
    media: [],
    counts: post.counts,
    liked,
    createdAt: post.createdAt.toISOString(),
    updatedAt: post.updatedAt.toISOString(),
    version: post.version
  }
}

export function presentComment(comment: CommentDocument, author: Author): Comment {
  return {
    id: comment._id,
    postId: comment.postId,
    author,
    text: comment.text,
    createdAt: comment.createdAt.toISOString()
  }
}

/** Posts as `caller` sees them: authors and likes are read together; what nobody likes is not asked for. */
export async function presentPosts(deps: Deps, posts: readonly PostDocument[], caller: Person): Promise<Post[]> {
  const likeable = posts.filter((post) => post.counts.likes > 0).map((post) => post._id)
  const [authorOf, likes] = await Promise.all([
    deps.authors.get(
      posts.map((post) => post.authorId),
      caller
    ),
    deps.reads.liked(caller.userId, likeable)
  ])
  return posts.map((post) => presentPost(post, authorOf(post.authorId), likes(post._id)))
}
