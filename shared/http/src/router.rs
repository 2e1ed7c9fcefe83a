//! Puts the table of operations behind one door.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::door::door;
use crate::home::Home;
use crate::operation::{self, Access};
use crate::problem::{no_such_method, no_such_route};
use crate::visit::guard;

/// The router of a home. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that failed attempts are
/// counted for each client; without it all clients count as one.
pub fn router(home: Arc<Home>) -> Router {
    let mut router = Router::new();
    for row in operation::all() {
        let guarded = match row.access {
            Access::Anyone => row.route,
            access @ (Access::SeeAll | Access::SeeOwn | Access::ActOnOwn | Access::Admin) => {
                row.route.route_layer(from_fn_with_state((Arc::clone(&home), access), guard))
            }
        };
        router = router.route(row.path, guarded);
    }
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(Arc::clone(&home), door))
        .with_state(home)
}
