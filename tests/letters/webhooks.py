"""What providers post when something happened to a message, as they document it."""

import hashlib
import hmac
import json

ADDRESS = "cabinet@mfa.fr.example"  # of the message's recipient
MAILGUN_KEY = "mailgun-key"

# Each takes (what happened, our number) and gives the payload that its provider documents.


def postmark(what: str, number: int) -> dict:
    """https://postmarkapp.com/developer/webhooks/bounce-webhook"""
    common = {"MessageID": "883953f4", "ServerID": 23, "MessageStream": "outbound", "Tag": "Test"}
    common |= {"Metadata": {"delivery": str(number)}}
    if what == "delivered":
        return common | {
            "RecordType": "Delivery",
            "Recipient": ADDRESS,
            "DeliveredAt": "2026-11-05T16:33:54Z",
        }
    if what == "complained":
        return common | {"RecordType": "SpamComplaint", "ID": 43, "Type": "SpamComplaint", "TypeCode": 512,
            "Email": ADDRESS, "BouncedAt": "2026-11-05T16:33:54Z"}  # fmt: skip
    return common | {
        "RecordType": "Bounce", "ID": 42, "Type": "HardBounce", "TypeCode": 1, "Name": "Hard bounce",
        "Description": "The server was unable to deliver your message", "Email": ADDRESS,
        "Details": "smtp;550 5.1.1 unknown", "BouncedAt": "2026-11-05T16:33:54.9070259Z", "Inactive": True,
    }  # fmt: skip


def mailgun(what: str, number: int) -> dict:
    """https://documentation.mailgun.com/docs/mailgun/user-manual/events/webhook-payloads"""
    token = hashlib.sha256(what.encode()).hexdigest()[:50]
    digest = hmac.new(MAILGUN_KEY.encode(), f"1529006854{token}".encode(), hashlib.sha256).hexdigest()
    data = {
        "event": {"bounced": "failed"}.get(what, what), "timestamp": 1529006854.329574,
        "id": "DACSsAdVSeGpLid7TN03WA",
        "recipient": ADDRESS, "user-variables": {"delivery": str(number)}, "tags": [],
        "message": {"headers": {"to": ADDRESS, "message-id": "20260630.1.1@mg.example"}},
    }  # fmt: skip
    if what == "bounced":
        data |= {"severity": "permanent", "reason": "bounce",
            "delivery-status": {"code": 550, "message": "5.1.1 no such user", "description": ""}}  # fmt: skip
    return {"signature": {"timestamp": "1529006854", "token": token, "signature": digest}, "event-data": data}


def sendgrid(what: str, number: int) -> list:
    """https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event"""
    event = {"delivered": "delivered", "bounced": "bounce", "complained": "spamreport"}[what]
    return [
        {"email": ADDRESS, "timestamp": 1513299569, "smtp-id": "<14c5d75ce93.dfd@x>", "event": event,
         "sg_event_id": f"sg-{what}", "sg_message_id": "14c5d75ce93.dfd.64b469", "anymail_id": "a-uuid",
         "delivery": str(number)}
        | ({"type": "bounce", "reason": "550 5.1.1 unknown", "status": "5.1.1"} if what == "bounced" else {})
    ]  # fmt: skip


def brevo(what: str, number: int) -> dict:
    """https://developers.brevo.com/docs/transactional-webhooks"""
    event = {"delivered": "delivered", "bounced": "hard_bounce", "complained": "spam"}[what]
    return {
        "event": event, "email": ADDRESS, "id": 26224, "date": "2026-03-30 11:05:50", "ts": 1617123950,
        "message-id": "<201798300811.5787683@smtp-relay.mailin.fr>", "ts_event": 1617123950,
        "ts_epoch": 1617123950000, "subject": "Paix",
        "X-Mailin-custom": json.dumps({"delivery": str(number)}),
        "reason": "server is down" if what == "bounced" else "sent", "tag": "",
    }  # fmt: skip


def mailjet(what: str, number: int) -> list:
    """https://dev.mailjet.com/email/guides/webhooks/"""
    event = {"delivered": "sent", "bounced": "bounce", "complained": "spam"}[what]
    common = {"event": event, "time": 1433333949, "MessageID": 19421777835146490, "email": ADDRESS,
        "mj_campaign_id": 7257, "CustomID": "", "Payload": json.dumps({"delivery": str(number)})}  # fmt: skip
    if what == "bounced":
        common |= {
            "blocked": False,
            "hard_bounce": True,
            "error_related_to": "recipient",
            "error": "user unknown",
        }
    return [common]


def sparkpost(what: str, number: int) -> list:
    """https://developers.sparkpost.com/api/webhooks/"""
    kind = {"delivered": "delivery", "bounced": "bounce", "complained": "spam_complaint"}[what]
    event = {"type": kind, "event_id": f"9{len(what)}", "timestamp": "1454442600", "rcpt_to": ADDRESS,
        "raw_rcpt_to": ADDRESS, "transmission_id": "65832150921904138", "message_id": "000443ee",
        "rcpt_meta": {"delivery": str(number)}}  # fmt: skip
    if what == "bounced":
        event |= {"bounce_class": "10", "raw_reason": "550 [internal] unknown", "error_code": "550"}
    return [{"msys": {"message_event": event}}, {"msys": {}}]


def resend(what: str, number: int) -> dict:
    """https://resend.com/docs/webhooks/emails/bounced"""
    data = {"email_id": "56761188-7520-42d8", "created_at": "2026-11-22T23:41:11+00:00", "to": [ADDRESS],
        "from": "Amélie <peace@x.example>", "subject": "Paix",
        "headers": [{"name": "X-Metadata", "value": json.dumps({"delivery": str(number)})}]}  # fmt: skip
    if what == "bounced":
        data["bounce"] = {
            "type": "Permanent",
            "subType": "General",
            "message": "… sent a hard bounce message …",
        }
    return {"type": f"email.{what}", "created_at": f"2026-11-22T23:41:{len(what)}.126Z", "data": data}


def mandrill(what: str, number: int) -> list:
    """https://mailchimp.com/developer/transactional/docs/webhooks/ (does not tell of deliveries)"""
    event = {"delivered": "send", "bounced": "hard_bounce", "complained": "spam"}[what]
    message = {"ts": 1365109999, "subject": "Paix", "email": ADDRESS, "sender": "peace@x.example", "tags": [],
        "state": "sent", "metadata": {"delivery": str(number)}, "_id": "exampleaaaa"}  # fmt: skip
    if what == "bounced":
        message |= {"diag": "smtp;550 5.1.1 unknown", "bounce_description": "bad_mailbox"}
    return [{"event": event, "msg": message, "_id": "exampleaaaa", "ts": 1384954004}]


PAYLOADS = [postmark, mailgun, sendgrid, brevo, mailjet, sparkpost, resend, mandrill]
