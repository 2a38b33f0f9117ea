// pgjdbc: SCRAM over TLS, or a client's certificate, by the argument.
import java.sql.*;
import java.util.Properties;

public class JdbcIdentity {
    public static void main(String[] way) throws Exception {
        Properties with = new Properties();
        with.setProperty("sslmode", "verify-full");
        with.setProperty("sslrootcert", System.getenv("CA"));
        with.setProperty("user", System.getenv("NAME"));
        with.setProperty("connectTimeout", "10");
        boolean scram = way[0].equals("scram");
        if (scram) {
            with.setProperty("password", System.getenv("PASSWORD"));
        } else {
            with.setProperty("sslcert", System.getenv("CERT"));
            with.setProperty("sslkey", System.getenv("DER"));
        }
        System.out.println("version: " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        try (Connection c = DriverManager.getConnection("jdbc:postgresql://localhost:" + System.getenv(scram ? "PORT_PG_PASSWORD" : "PORT_PG_MTLS") + "/shop", with)) {
            System.out.println("named: " + whose(c));
            for (String later : new String[] {"SET partywall.tenant = 'globex'", "SET SESSION AUTHORIZATION globex", "DISCARD ALL"}) {
                try {
                    c.createStatement().execute(later);
                } catch (SQLException refused) {
                    continue;
                }
            }
            System.out.println("later: " + whose(c));
        } catch (SQLException e) {
            System.out.println("refused: " + e.getMessage());
        }
    }

    static String whose(Connection c) throws SQLException {
        ResultSet r = c.createStatement().executeQuery("SELECT name FROM whose");
        r.next();
        return r.getString(1);
    }
}
