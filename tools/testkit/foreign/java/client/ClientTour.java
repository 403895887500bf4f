import org.apache.kafka.clients.admin.Admin;

/** Apache Kafka's current Java client against any broker. Argument: BOOTSTRAP. */
public class ClientTour extends Client {
  public static void main(String[] args) throws Exception {
    B = args[0];
    adm = Admin.create(base());
    N0 = get(adm.describeCluster().nodes()).iterator().next().id();
    report = new Report();
    ProducerCases.run();
    ConsumerCases.run();
    TransactionCases.run();
    ConsumerProtocolCases.run();
    ShareCases.run();
    AdminCases.run();
    report.end();
  }
}
