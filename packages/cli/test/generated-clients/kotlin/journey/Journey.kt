import com.squareup.moshi.Moshi
import org.openapitools.client.apis.AuthApi
import org.openapitools.client.apis.ContentApi
import org.openapitools.client.apis.GatewayApi
import org.openapitools.client.apis.UsersApi
import org.openapitools.client.infrastructure.ApiClient
import org.openapitools.client.infrastructure.ClientException
import org.openapitools.client.models.BatchBody
import org.openapitools.client.models.BatchedRequest
import org.openapitools.client.models.CreatePostBody
import org.openapitools.client.models.SignupBody
import org.openapitools.client.models.UpdatePostBody

/** What an Android app does first. Prints one line of JSON with what it saw, which the test compares. */
fun main(arguments: Array<String>) {
    val base = arguments[0]
    val grant = AuthApi(base).signup(
        SignupBody(email = "kotlin@example.com", password = "correct horse", username = "kotlin")
    )
    ApiClient.accessToken = grant.accessToken
    val content = ContentApi(base)
    val post = content.createPost(CreatePostBody(text = "one", title = "T", summary = "S", tags = setOf("sea")))
    val edited = content.updatePost(post.id, UpdatePostBody(text = "two"))
    val feed = content.feed()
    val batch = GatewayApi(base).batch(
        BatchBody(
            requests = listOf(
                BatchedRequest(method = BatchedRequest.Method.GET, path = "/v1/users/me", id = "me"),
                BatchedRequest(
                    method = BatchedRequest.Method.POST,
                    path = "/v1/posts",
                    headers = mapOf("idempotency-key" to "k"),
                    body = mapOf("text" to "three")
                )
            )
        )
    )
    content.like(post.id)
    val taken = try {
        AuthApi(base).signup(SignupBody(email = "kotlin@example.com", password = "correct horse", username = "other"))
        0
    } catch (refused: ClientException) {
        refused.statusCode
    }
    val seen = mapOf(
        "username" to UsersApi(base).getMe().username,
        "signedUpAt" to grant.user.createdAt.toInstant().toEpochMilli(),
        "edited" to listOf(edited.text, edited.title, edited.summary, edited.tags),
        "feed" to feed.items.map { it.text },
        "end" to (feed.nextCursor == null),
        "batch" to batch.responses.map { listOf(it.id, it.status, (it.body as Map<*, *>)["text"]) },
        "taken" to taken
    )
    println("SEEN " + Moshi.Builder().build().adapter(Any::class.java).serializeNulls().toJson(seen))
}
