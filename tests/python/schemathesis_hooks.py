"""What schemathesis leaves out: Cog takes an empty id, and so do we, but no address can name it."""
import schemathesis


@schemathesis.hook
def filter_body(context, body):
    return not (isinstance(body, dict) and body.get("id") == "")
