"""KServe v2 requests over REST, as tests write them."""

import json

INFER = "/v2/models/{}/infer"


def one_input(name, shape, datatype, data, **more):
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data}], **more}


def infer(server, model, body, **headers):
    status, raw, _ = server.post(INFER.format(model), body, **headers)
    return status, json.loads(raw)
