"""Sets a broker's key store again by librdkafka. Arguments: ADDRESSES ADMIN BROKER FILE."""

import json
import sys

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

addresses, admin, broker, file = sys.argv[1:]
with open(admin) as settings:
    client = AdminClient({"bootstrap.servers": addresses, **json.load(settings)})
name = "listener.name.secure.ssl.keystore.location"
entry = ConfigEntry(name, file, incremental_operation=AlterConfigOpType.SET)
resource = ConfigResource(ConfigResource.Type.BROKER, broker, incremental_configs=[entry])
for done in client.incremental_alter_configs([resource]).values():
    done.result(30)
