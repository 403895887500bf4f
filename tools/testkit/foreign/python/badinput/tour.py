"""All hostile input against the broker at $BOOTSTRAP, whose process is $BROKER_PID."""

import frames
import batches
import requests
import hostile
import report


@report.feature("SASL: requests before the handshake, wrong and oversized tokens")
def _():
    raise report.Skip("no listener with logins in this suite: suite security, fuzz targets sasl-*")


hostile.run()
